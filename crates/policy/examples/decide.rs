//! Prints what a decision costs, fresh and remembered, as grants and tools grow. Run it optimised, with the allocator of the binary:
//! `cargo run --profile ci -p ambit-policy --example decide`.
#![expect(clippy::print_stdout, reason = "a measurement is printed")]

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use ambit_model::{
    Digest, Effect,
    caller::{Assurance, CallerFacts, ClientFacts, Principal, TokenScopes, UserFacts},
    ceiling::{Ceiling, ClientCeilings},
    constraints::{Constraints, ToolPattern},
    grant::{Grant, GrantOrigin, GrantSubject},
    ids::{ClientId, EndpointSlug, GrantId, GroupName, ServerSlug, ToolId, ToolsetSlug, UserKey},
    tool::Acceptance,
    toolset::{Selector, Toolset},
};
use ambit_policy::{
    CallFacts, EndpointFacts, Judge, JudgeInput, Policies, PolicyFile, ServerFacts, ToolFacts, ToolIndex,
};
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const TOOLSETS: usize = 20;

fn main() -> Result<()> {
    if std::env::args().any(|argument| argument == "--judged") {
        return judged();
    }
    println!(
        "{:>7} {:>6} {:>9} {:>9} {:>9} {:>11} {:>12} {:>9}",
        "grants", "tools", "build ms", "class us", "fresh us", "hidden us", "remembered ns", "list ms"
    );
    for (grants, tools) in [
        (10, 10),
        (100, 100),
        (1_000, 1_000),
        (10_000, 10),
        (10_000, 100),
        (10, 5_000),
        (1_000, 5_000),
        (10_000, 5_000),
    ] {
        measure(grants, tools)?;
    }
    println!();
    for tools in [100, 1_000] {
        narrowed(tools)?;
    }
    println!(
        "\n{:>7} {:>6} {:>9} {:>13} {:>12} {:>12}",
        "rules", "tools", "build ms", "standing us", "call p50 us", "call p99 us"
    );
    for (rules, tools) in [(0, 100), (20, 100), (20, 1_000), (200, 1_000)] {
        measure_rules(rules, tools)?;
    }
    Ok(())
}

/// The two figures that are held to a target, as JSON: a decision made anew where grants limit arguments, and what a call
/// asks once that is remembered. All but one in a hundred take less.
fn judged() -> Result<()> {
    let mut input = narrowing(1_000)?;
    input.policies = rules(20)?;
    let judge = Judge::build(input)?;
    let endpoint = judge.endpoint_index(&EndpointSlug::parse("default")?).ok_or("no endpoint")?;
    let class = judge.class(&caller("user-0", &["staff"])?);
    let concerned = concerned(&judge, 1_000);
    let arguments = json!({"environment": "staging", "name": "team-video", "size": 4});
    // Until the memory is warm and the clock of the processor is up.
    for tool in &concerned {
        drop(black_box(judge.standing(&class, endpoint, *tool, 1)));
    }
    let decision = p99(&concerned, |tool| drop(black_box(judge.decide_fresh(&class, endpoint, tool, 1))));
    let call = CallFacts::new(1_795_649_400_000, &arguments);
    let at_call = p99(&concerned, |tool| {
        let verdict = judge.standing(&class, endpoint, tool, 1);
        if let Some(narrowing) = &verdict.narrowing {
            drop(black_box(narrowing.allowed.check(&arguments)));
        }
        drop(black_box(judge.per_call(&class, endpoint, tool, &call)));
    });
    println!("{}", json!({"decision_p99_us": decision, "call_p99_us": at_call}));
    Ok(())
}

/// What all but one in a hundred take less than: the median of five rounds, because one interruption of the process spoils a
/// round.
fn p99(tools: &[ToolIndex], mut ask: impl FnMut(ToolIndex)) -> f64 {
    let mut rounds: Vec<f64> = (0..5).map(|_| p99_of_a_round(tools, &mut ask)).collect();
    rounds.sort_by(f64::total_cmp);
    rounds.get(rounds.len() / 2).copied().unwrap_or_default()
}

fn p99_of_a_round(tools: &[ToolIndex], ask: &mut impl FnMut(ToolIndex)) -> f64 {
    let mut times: Vec<f64> = tools
        .iter()
        .cycle()
        .take(10_000)
        .map(|tool| {
            let started = Instant::now();
            ask(*tool);
            micros(started.elapsed())
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times.get(times.len() * 99 / 100).copied().unwrap_or_default()
}

/// The tools that the measured rule is about.
fn concerned(judge: &Judge, tools: usize) -> Vec<ToolIndex> {
    let named = (0..tools).filter(|n| n % 10 == 1);
    named.filter_map(|n| judge.tool_index(&ToolId::parse(&format!("server-1/tool-{n:05}")).ok()?)).collect()
}

/// One call of a tool that a rule about arguments, hours and approval concerns, beside rules that concern other tools.
fn measure_rules(unrelated: usize, tools: usize) -> Result<()> {
    let mut facts = deployment(100, tools)?;
    let schema = Arc::new(json!({"type": "object", "properties": {
        "environment": {"type": "string"}, "replicas": {"type": "integer"},
    }}));
    for tool in &mut facts.tools {
        tool.input_schema = Some(Arc::clone(&schema));
    }
    facts.policies = rules(unrelated)?;
    let started = Instant::now();
    let judge = Judge::build(facts)?;
    let build = started.elapsed();
    let endpoint = judge.endpoint_index(&EndpointSlug::parse("default")?).ok_or("no endpoint")?;
    let class = judge.class(&caller("user-0", &["staff"])?);
    let concerned = concerned(&judge, tools);
    let fresh = each(&concerned, 4_000, |tool| drop(black_box(judge.decide_fresh(&class, endpoint, tool, 1))));
    let arguments = json!({"environment": "production", "replicas": 3});
    let call = CallFacts::new(1_795_649_400_000, &arguments);
    let mut times: Vec<f64> = concerned
        .iter()
        .cycle()
        .take(20_000)
        .map(|tool| {
            let started = Instant::now();
            drop(black_box(judge.per_call(&class, endpoint, *tool, &call)));
            micros(started.elapsed())
        })
        .collect();
    times.sort_by(f64::total_cmp);
    let at = |part: usize| times.get(times.len() * part / 100).copied().unwrap_or_default();
    println!(
        "{unrelated:>7} {tools:>6} {:>9.1} {fresh:>13.2} {:>12.2} {:>12.2}",
        micros(build) / 1000.0,
        at(50),
        at(99)
    );
    Ok(())
}

/// A rule about arguments, hours and approval of the tools of one server, and rules that concern other servers.
fn rules(unrelated: usize) -> Result<Arc<Policies>> {
    let about = "@id(\"about\") forbid (principal, action in Action::\"call\", resource)
        when { resource.server.slug == \"server-1\" && context.time.hour < 25 }
        when { context.arguments has environment && context.arguments.environment == \"production\" }
        unless { context.approved || principal has user && principal.user.groups.contains(\"release\") };\n";
    let others = (0..unrelated).map(|n| {
        format!(
            "@id(\"r{n}\") forbid (principal, action in Action::\"call\", resource)
            when {{ resource.server.slug == \"other-{n}\" && context.arguments has replicas && \
            context.arguments.replicas > {n} }};\n"
        )
    });
    let text = std::iter::once(about.to_owned()).chain(others).collect::<String>();
    Ok(Arc::new(Policies::new(vec![PolicyFile { name: "measured.cedar".into(), text }], None)?))
}

/// The same where every grant limits arguments, over tools with an ordinary schema.
fn narrowed(tools: usize) -> Result<()> {
    let input = narrowing(tools)?;
    let judge = Judge::build(input)?;
    let endpoint = judge.endpoint_index(&EndpointSlug::parse("default")?).ok_or("no endpoint")?;
    let class = judge.class(&caller("user-0", &["staff"])?);
    let all: Vec<ToolIndex> = (0..u32::try_from(tools)?).map(ToolIndex).collect();
    let started = Instant::now();
    let list = judge.visible(&class, endpoint, 1);
    let cold = started.elapsed();
    let started = Instant::now();
    let bytes: usize = list.narrowed.iter().map(|(_, narrowing)| narrowing.shown.schema.to_string().len()).sum();
    let written = started.elapsed();
    let mut fresh: Vec<Duration> = Vec::new();
    for tool in all.iter().cycle().step_by(7).take(4_000) {
        let started = Instant::now();
        drop(black_box(judge.decide_fresh(&class, endpoint, *tool, 1)));
        fresh.push(started.elapsed());
    }
    fresh.sort_unstable();
    let verdict = judge.standing(&class, endpoint, ToolIndex(0), 1);
    let allowed = &verdict.narrowing.as_ref().ok_or("not narrowed")?.allowed;
    let arguments = json!({"environment": "staging", "name": "team-video", "size": 4});
    let check = each(&all, 100_000, |_| drop(black_box(allowed.check(&arguments))));
    println!(
        "{tools:>6} narrowed tools: cold list {:.2} ms and {:.2} ms to write {} KiB, fresh decision p50 {:.1} us p99 {:.1} us, \
         check of a call {check:.2} us",
        micros(cold) / 1000.0,
        micros(written) / 1000.0,
        bytes / 1024,
        micros(fresh.get(fresh.len() / 2).copied().unwrap_or_default()),
        micros(fresh.get(fresh.len() * 99 / 100).copied().unwrap_or_default()),
    );
    Ok(())
}

/// A deployment in which every grant limits arguments, over tools with an ordinary schema.
fn narrowing(tools: usize) -> Result<JudgeInput> {
    let mut input = deployment(100, tools)?;
    let schema = Arc::new(ordinary_schema());
    for tool in &mut input.tools {
        tool.input_schema = Some(Arc::clone(&schema));
    }
    for (number, grant) in input.grants.iter_mut().enumerate() {
        let environments = if number % 2 == 0 { json!(["staging"]) } else { json!(["staging", "test"]) };
        let fragment =
            json!({"properties": {"environment": {"enum": environments}, "name": {"pattern": "^team-[a-z]+$"}}});
        grant.constraints = Constraints::new([(ToolPattern::All, fragment)].into())?;
    }
    Ok(input)
}

/// Ten properties, as REST APIs have them.
fn ordinary_schema() -> Value {
    let switch = json!({"type": "boolean", "description": "another switch of many"});
    json!({"type": "object", "additionalProperties": false, "required": ["name"], "properties": {
        "environment": {"type": "string", "enum": ["production", "staging", "test"], "description": "where it runs"},
        "name": {"type": "string", "minLength": 1, "maxLength": 100, "description": "what it is called"},
        "size": {"type": "integer", "minimum": 1, "maximum": 1000},
        "filter": {"type": "object", "properties": {"label": {"type": "string"}, "since": {"type": "string", "format": "date-time"}}},
        "a": switch, "b": switch, "c": switch, "d": switch, "e": switch, "f": switch,
    }})
}

fn measure(grants: usize, tools: usize) -> Result<()> {
    let facts = deployment(grants, tools)?;
    let started = Instant::now();
    let judge = Judge::build(facts)?;
    let build = started.elapsed();
    let endpoint = judge.endpoint_index(&EndpointSlug::parse("default")?).ok_or("no endpoint")?;
    let (holder, stranger) = (caller("user-0", &["staff"])?, caller("nobody", &[])?);

    let started = Instant::now();
    let class = judge.class(&holder);
    let class_time = started.elapsed();
    let stranger = judge.class(&stranger);

    let all: Vec<ToolIndex> = (0..u32::try_from(tools)?).map(ToolIndex).collect();
    let fresh = each(&all, 4_000, |tool| drop(black_box(judge.decide_fresh(&class, endpoint, tool, 1))));
    let hidden = each(&all, 4_000, |tool| drop(black_box(judge.decide_fresh(&stranger, endpoint, tool, 1))));
    for tool in &all {
        judge.standing(&class, endpoint, *tool, 1);
    }
    let remembered = each(&all, 400_000, |tool| drop(black_box(judge.standing(&class, endpoint, tool, 1))));
    let started = Instant::now();
    let list = judge.visible(&class, endpoint, 1);
    let list_time = started.elapsed();
    println!(
        "{grants:>7} {tools:>6} {:>9.1} {:>9.1} {:>9.2} {:>11.2} {:>12.0} {:>9.2}  ({} listed)",
        micros(build) / 1000.0,
        micros(class_time),
        fresh,
        hidden,
        remembered * 1000.0,
        micros(list_time) / 1000.0,
        list.tools.len()
    );
    Ok(())
}

/// Mean microseconds of one call, walking over the tools with a stride.
fn each(tools: &[ToolIndex], rounds: u32, mut ask: impl FnMut(ToolIndex)) -> f64 {
    let mut walk = tools.iter().cycle().step_by(7.min(tools.len()));
    let started = Instant::now();
    for _ in 0..rounds {
        if let Some(tool) = walk.next() {
            ask(*tool);
        }
    }
    micros(started.elapsed()) / f64::from(rounds)
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn caller(name: &str, groups: &[&str]) -> Result<CallerFacts> {
    let groups = groups.iter().map(|group| GroupName::parse(group)).collect::<std::result::Result<_, _>>()?;
    Ok(CallerFacts {
        principal: Principal::Person {
            user: UserFacts { key: UserKey::local(name)?, groups, claims: BTreeMap::new() },
        },
        client: ClientFacts { id: ClientId::parse("https://client.example/c.json")?, assurance: Assurance::Cimd },
        scopes: TokenScopes::Toolsets(
            (0..TOOLSETS)
                .map(|n| ToolsetSlug::parse(&format!("set-{n}")))
                .collect::<std::result::Result<BTreeSet<_>, _>>()?,
        ),
        declined: BTreeSet::new(),
        operator: None,
    })
}

/// Tools over ten servers, twenty toolsets of which each tool is in two; the measured caller holds every toolset, the other
/// grants belong to other users.
fn deployment(grants: usize, tools: usize) -> Result<JudgeInput> {
    let slug = |n: usize| ServerSlug::parse(&format!("server-{}", n % 10));
    let id = |n: usize| ToolId::parse(&format!("server-{}/tool-{n:05}", n % 10));
    let mut input = JudgeInput {
        revision: 1,
        ceilings: ClientCeilings { clients: BTreeMap::new(), default: Ceiling::Everything },
        ..JudgeInput::default()
    };
    for n in 0..10 {
        input.servers.push(ServerFacts {
            slug: slug(n)?,
            environment: "production".into(),
            data_class: "internal".into(),
            owner: "platform".into(),
            expires_at: i64::MAX,
        });
    }
    for n in 0..tools {
        input.tools.push(ToolFacts {
            id: id(n)?,
            definition: Digest::of(b"definition"),
            effect: if n % 3 == 0 { Effect::Write } else { Effect::Read },
            acceptance: Acceptance::Accepted,
            labels: vec!["video".into()],
            approval_waived_until: None,
            input_schema: None,
        });
    }
    for set in 0..TOOLSETS {
        let members = (0..tools).filter(|n| n % TOOLSETS == set || (n + 1) % TOOLSETS == set);
        input.toolsets.push(Toolset {
            slug: ToolsetSlug::parse(&format!("set-{set}"))?,
            title: String::new(),
            tools: members.map(|n| Ok(Selector::Tool(id(n)?))).collect::<Result<_>>()?,
            effects: Vec::new(),
        });
    }
    for n in 0..grants {
        // Enough of the first grants for the measured caller to hold everything, by itself or through its group.
        let subject = match n {
            0..10 if n % 2 == 0 => GrantSubject::Group(GroupName::parse("staff")?),
            0..TOOLSETS => GrantSubject::User(UserKey::local("user-0")?),
            _ => GrantSubject::User(UserKey::local(&format!("user-{}", n % 997 + 1))?),
        };
        input.grants.push(Grant {
            id: GrantId::parse(&format!("grant-{n}"))?,
            subject,
            toolset: ToolsetSlug::parse(&format!("set-{}", n % TOOLSETS))?,
            reason: "measured".into(),
            ticket: None,
            approved_by: None,
            starts_at: 0,
            expires_at: i64::MAX,
            origin: GrantOrigin::Operator,
            constraints: Constraints::default(),
        });
    }
    input.endpoints.push(EndpointFacts {
        slug: EndpointSlug::parse("default")?,
        servers: (0..10).map(slug).collect::<std::result::Result<_, _>>()?,
    });
    Ok(input)
}
