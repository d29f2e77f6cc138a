//! The bench's load as a program. Prints `measuring` and `measured` as the measured time begins and ends, so that whoever
//! started it can read the proxy's counters at those instants, then one JSON line of figures.

use std::{io::Write as _, time::Duration};

use ambit_testkit::{
    flags::Flags,
    load::{Phase, Plan, run},
};
use anyhow::{Context as _, Result};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let known = ["address", "request", "expect", "connections", "millis", "warm-up-millis"];
    let flags = Flags::parse(std::env::args().skip(1), &known)?;
    let file = flags.required("request")?;
    let plan = Plan {
        address: flags.required("address")?.parse().context("`--address` is an address with a port")?,
        request: std::fs::read(file).with_context(|| format!("read `{file}`"))?,
        expect: flags.text("expect").unwrap_or_default().to_owned(),
        connections: flags.parsed("connections", 16)?,
        measured: Duration::from_millis(flags.parsed("millis", 2000)?),
        warm_up: Duration::from_millis(flags.parsed("warm-up-millis", 300)?),
    };
    let figures = run(&plan, |phase| {
        let word = match phase {
            Phase::Begin => "measuring",
            Phase::End => "measured",
        };
        // A reader that went away ends the run at the next write.
        drop(writeln!(std::io::stdout(), "{word}"));
    })
    .await?;
    writeln!(std::io::stdout(), "{}", serde_json::to_string(&figures)?)?;
    Ok(())
}
