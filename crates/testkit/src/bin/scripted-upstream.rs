//! The bench's upstream as a program: prints `listening on http://…` once it answers, and runs until it is ended.

use std::io::Write as _;

use ambit_testkit::{
    flags::Flags,
    scripted::{Script, serve},
};
use anyhow::Result;
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let flags = Flags::parse(std::env::args().skip(1), &["port", "tools"])?;
    let listener = TcpListener::bind(("127.0.0.1", flags.parsed("port", 0_u16)?)).await?;
    writeln!(std::io::stdout(), "listening on http://{}", listener.local_addr()?)?;
    serve(listener, Script::new(flags.parsed("tools", 10)?)).await
}
