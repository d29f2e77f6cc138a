//! The mock API as a program: prints `listening on http://…` once it answers, and runs until it is ended.

use std::{io::Write as _, path::Path};

use ambit_testkit::{
    flags::Flags,
    mock_api::{Credential, MockApi, serve},
};
use anyhow::Result;
use tokio::net::TcpListener;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let flags = Flags::parse(std::env::args().skip(1), &["port", "document", "username", "secret"])?;
    let credential = Credential {
        username: flags.text("username").map(str::to_owned),
        secret: flags.required("secret")?.to_owned(),
    };
    let api = MockApi::from_document(Path::new(flags.required("document")?), credential)?;
    let listener = TcpListener::bind(("127.0.0.1", flags.parsed("port", 0_u16)?)).await?;
    writeln!(std::io::stdout(), "listening on http://{}", listener.local_addr()?)?;
    serve(listener, api).await
}
