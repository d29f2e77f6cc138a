//! `ambit grant --import`: grants of another system, all of them or none.

use std::fs;

use serde_json::{Value, json};

use super::{CONFIG, Desk};

async fn import(desk: &Desk, lines: &[Value]) -> super::Ended {
    let lines: Vec<_> = lines.iter().map(ToString::to_string).collect();
    import_text(desk, &lines.join("\n")).await
}

async fn import_text(desk: &Desk, text: &str) -> super::Ended {
    let file = desk.path("grants.jsonl");
    fs::write(&file, text).unwrap();
    desk.run_words(&["grant", "--import", file.to_str().unwrap()]).await
}

fn good() -> Value {
    json!({ "holder": "user alice", "toolset": "look", "reason": "moved here", "ticket": "CHG-9", "expires": "2027-01-31" })
}

/// What is held, of grants that configuration does not declare.
async fn held(desk: &Desk) -> Vec<Value> {
    let all = desk.done("grants --json").await.json();
    all.as_array().unwrap().iter().filter(|line| line["origin"] != "config").cloned().collect()
}

#[tokio::test]
async fn a_file_of_grants_becomes_grants_with_where_they_came_from() {
    let desk = Desk::new(CONFIG);
    let limited = json!({
        "holder": "group staff", "toolset": "look", "reason": "read some", "approved_by": "Shop team",
        "starts": "2026-12-01T00:00:00Z", "constraints": { "*": { "properties": { "id": { "maximum": 10 } } } },
    });
    let done = import(&desk, &[good(), limited]).await;
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(done.out, "imported: 2 grants\n");
    let held = held(&desk).await;
    let shown: Vec<_> = held
        .iter()
        .map(|line| {
            ["holder", "toolset", "origin", "expires", "reason"].map(|key| line[key].as_str().unwrap()).join(" | ")
        })
        .collect();
    assert_eq!(
        shown,
        [
            "user local:alice | look | import | 2027-01-31T00:00:00Z | moved here",
            "group staff | look | import | 2027-03-01T00:00:00Z | read some",
        ]
    );
    assert_eq!((&held[0]["ticket"], &held[1]["approved_by"]), (&json!("CHG-9"), &json!("Shop team")));
    assert_eq!(held[1]["constraints"]["*"]["properties"]["id"]["maximum"], 10);
    let trail = desk.done("audit tail --json").await.out;
    assert_eq!(trail.matches("\"grant.create\"").count(), 2, "{trail}");
    assert!(trail.contains("\"grant.import\"") && trail.contains("\"origin\": \"import\""), "{trail}");

    // What this deployment lists, another one reads.
    let lines: Vec<_> = held.into_iter().map(|line| line.to_string()).collect();
    let other = Desk::new(CONFIG);
    let done = import_text(&other, &lines.join("\n\n")).await;
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(self::held(&other).await.len(), 2);
}

#[tokio::test]
async fn one_line_that_cannot_be_makes_none_of_them_and_every_problem_is_named() {
    let desk = Desk::new(CONFIG);
    let changed = |key: &str, value: Value| {
        let mut line = good();
        line[key] = value;
        line
    };
    // What cannot be read.
    let lines = [
        good(),
        changed("toolset", json!("No Slug")),
        changed("until", json!("2027-01-31")),
        changed("holder", json!("planet mars")),
        changed("kind", json!("reveal")),
        changed("state", json!("ended")),
        changed("expires", json!("soon")),
    ];
    let refused = import(&desk, &lines).await;
    assert_eq!(refused.code, 2, "{}", refused.out);
    for said in [
        "nothing was imported",
        "line 2: ",
        "line 3: ",
        "line 4: `planet mars` is no holder",
        "line 5: it is a reveal",
        "line 6: it is ended",
        "line 7: ",
    ] {
        assert!(refused.err.contains(said), "{said}: {}", refused.err);
    }
    // What a grant made here is held to.
    let lines = [
        good(),
        changed("toolset", json!("unknown")),
        changed("holder", json!("user nobody")),
        changed("expires", json!("2027-12-31")),
        changed("expires", json!("2026-01-01")),
        changed("reason", json!(" ")),
        changed("constraints", json!({ "*": { "type": 7 } })),
        good(),
    ];
    let refused = import(&desk, &lines).await;
    assert_eq!(refused.code, 1, "{}", refused.out);
    for said in [
        "nothing was imported",
        "line 2: toolset `unknown`",
        "line 3: user `local:nobody`",
        "line 4: a grant lives",
        "line 5: ",
        "line 6: give a reason",
        "line 7: ",
        "line 8: it says the same as line 1",
    ] {
        assert!(refused.err.contains(said), "{said}: {}", refused.err);
    }
    assert!(!refused.err.contains("\nline 1: "), "{}", refused.err);
    for (text, code) in [("", 2), ("\n \n", 2), ("[]", 2), ("{}", 2)] {
        assert_eq!(import_text(&desk, text).await.code, code, "{text:?}");
    }
    let many: Vec<_> = (0..501).map(|number| changed("ticket", json!(number.to_string()))).collect();
    assert!(import(&desk, &many).await.err.contains("between 1 and 500"));
    assert_eq!(desk.run("grant --import /nowhere/at/all").await.code, 2);
    assert_eq!(desk.run("grant --import x --user alice").await.code, 2, "a file says everything itself");
    assert_eq!(held(&desk).await, Vec::<Value>::new());
    assert!(!desk.done("audit tail --json").await.out.contains("grant.create"));
}
