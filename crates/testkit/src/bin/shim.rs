//! The token shim as a program: prints `listening on http://…` once it answers, and runs until it is ended.

use std::io::Write as _;

use ambit_testkit::{
    flags::Flags,
    shim::{Shim, serve},
};
use anyhow::{Context as _, Result};
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let flags = Flags::parse(std::env::args().skip(1), &["port", "upstream", "token-file"])?;
    let shim = Shim {
        upstream: flags.required("upstream")?.parse().context("`--upstream` is an address with a port")?,
        token_file: flags.required("token-file")?.into(),
    };
    let listener = TcpListener::bind(("127.0.0.1", flags.parsed("port", 0_u16)?)).await?;
    writeln!(std::io::stdout(), "listening on http://{}", listener.local_addr()?)?;
    serve(listener, shim).await
}
