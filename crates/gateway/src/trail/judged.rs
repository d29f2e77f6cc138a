//! What was judged, as every record of it says it: of a call, of what was refused before one, of a question. A hidden tool and an
//! absent one take one way, so that neither costs more than the other.

use std::{
    borrow::Cow,
    sync::{Arc, LazyLock},
};

use ambit_live::{catalogue::PublishedTool, keys::Keys};
use ambit_model::{
    Digest, Outcome,
    event::{Decided, Target},
};
use ambit_policy::Verdict;

use crate::{own::OwnTool, ruled::Ruled};

/// What was asked for, and what was decided about it.
pub(crate) enum Judged {
    /// A tool that is hidden, or none: one variant and one way into the trail, so that neither costs more than the other.
    Hidden {
        /// The name, as asked.
        asked: String,
        /// Whether it means a tool.
        is_there: bool,
        /// The tool, or the one that was judged in its stead, and the standing decision. Nothing where there is no tool at all.
        judged: Option<(Arc<PublishedTool>, Arc<Verdict>)>,
    },
    /// A tool, and whether a revocation hides it whatever the verdict.
    Tool {
        /// The tool.
        tool: Arc<PublishedTool>,
        /// The standing decision.
        verdict: Arc<Verdict>,
        /// What it came to for this caller.
        outcome: Outcome,
    },
    /// A tool of our own, which no rule decides over.
    Own {
        /// The tool.
        tool: OwnTool,
        /// The digest of the rule set, and the revision, that were in force.
        on: (Digest, u64),
        /// What it came to.
        outcome: Outcome,
    },
}

/// What a record says of what was asked for, and what was decided about it.
#[derive(Default)]
pub(super) struct Found<'a> {
    pub(super) target: Option<Target<'a>>,
    pub(super) decision: Option<Decided<'a>>,
    pub(super) asked: Option<Digest>,
    pub(super) filler: Option<&'static str>,
}

impl Judged {
    pub(super) fn found<'a>(&'a self, keys: &Keys, decided: impl Fn(&'a Verdict, Outcome) -> Decided<'a>) -> Found<'a> {
        match self {
            Self::Tool { tool, verdict, outcome } => {
                Found { target: Some(target(tool)), decision: Some(decided(verdict, *outcome)), ..Found::default() }
            }
            Self::Own { tool, on, outcome } => {
                Found { target: Some(tool.target()), decision: Some(own_decision(*on, *outcome)), ..Found::default() }
            }
            Self::Hidden { asked, is_there, judged } => {
                let asked = Some(keys.argument_digest(asked.as_bytes()));
                match judged {
                    Some((tool, verdict)) if *is_there => Found {
                        target: Some(target(tool)),
                        decision: Some(decided(verdict, Outcome::Hidden)),
                        asked,
                        filler: None,
                    },
                    Some((tool, verdict)) => {
                        let decided = decided(verdict, Outcome::Hidden);
                        let of_none = Decided { policies: [].as_slice().into(), failed: false, ..decided };
                        Found { decision: Some(of_none), asked, filler: Some(filler(tool, verdict)), target: None }
                    }
                    None => Found { asked, ..Found::default() },
                }
            }
        }
    }
}

/// Both halves of a decision, and what a replay of it needs.
pub(super) fn decided<'a>(
    (verdict, outcome): (&'a Verdict, Outcome),
    ruled: Option<&'a Ruled>,
    kept_caller: Option<&'a str>,
) -> Decided<'a> {
    let of_call = ruled.map(|ruled| &ruled.verdict);
    // What a rule about the call decided is named in place of what let the caller in.
    let by_call = of_call.filter(|ruled| outcome != Outcome::Allow && ruled.outcome != Outcome::Allow);
    let reported = match of_call.map_or(&[][..], |ruled| ruled.reported.as_slice()) {
        [] => verdict.reported.as_slice().into(),
        of_call => [verdict.reported.as_slice(), of_call].concat().into(),
    };
    Decided {
        outcome,
        policies: by_call.map_or(&verdict.policies, |ruled| &ruled.policies).as_slice().into(),
        rules: verdict.rules,
        revision: verdict.revision,
        failed: by_call.map_or(verdict.evaluation_error, |ruled| ruled.failed),
        reported,
        caller: kept_caller.map(Into::into),
        call: ruled.and_then(|ruled| ruled.kept.as_deref()).map(Into::into),
    }
}

/// What the trail says of a call of our own tool: seen by whoever has a person behind them where requests are on.
pub(super) fn own_decision((rules, revision): (Digest, u64), outcome: Outcome) -> Decided<'static> {
    static POLICIES: LazyLock<[String; 1]> = LazyLock::new(|| ["own.access".to_owned()]);
    Decided {
        outcome,
        policies: POLICIES.as_slice().into(),
        rules,
        revision,
        failed: false,
        reported: Cow::default(),
        caller: None,
        call: None,
    }
}

pub(super) fn target(tool: &PublishedTool) -> Target<'_> {
    let id = tool.id();
    Target { server: id.server.as_str(), tool: id.tool.as_str(), definition: tool.digest, effect: tool.effect.effect }
}

/// As long as what the record of this tool says and that of an absent one does not.
fn filler(tool: &PublishedTool, verdict: &Verdict) -> &'static str {
    /// Longest.
    static FILLER: &str = match std::str::from_utf8(&[b'-'; 1024]) {
        Ok(filler) => filler,
        Err(_) => "",
    };
    const DIGEST: usize = "sha256:".len() + 64;
    const AROUND: usize =
        r#""target":{"server":"","tool":"","definition":"","effect":""}"#.len() + DIGEST - r#""filler":"""#.len();
    let id = tool.id();
    let target = AROUND + id.server.as_str().len() + id.tool.as_str().len() + tool.effect.effect.as_str().len();
    let policies: usize = verdict.policies.iter().map(|policy| policy.len() + r#""","#.len()).sum();
    FILLER.get(..target + policies.saturating_sub(1)).unwrap_or(FILLER)
}
