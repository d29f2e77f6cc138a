//! The client side against a scripted server on loopback, in both eras.

mod answers;
mod calls;
mod eras;
mod listings;
mod streams;

use std::sync::Arc;

use ambit_live::catalogue::PublishedTool;
use ambit_mcp::era::{Era, LegacyVersion};
use ambit_model::server::Server;
use serde_json::{Value, json};

use super::testing::{Fake, Kind, in_ms, published, tool, upstreams};
use super::{Answer, Call, McpUpstreams, OnProgress, UpstreamFailure};

const LEGACY_CLIENT: Era = Era::Legacy(LegacyVersion::V2025_11_25);

/// A server, the gateway's side of it, and its one tool as accepted.
struct Scene {
    fake: Fake,
    server: Server,
    upstreams: McpUpstreams,
    tool: Arc<PublishedTool>,
}

impl Scene {
    async fn of(kind: Kind) -> Self {
        Self::with_tool(kind, tool("get_thing")).await
    }

    async fn with_tool(kind: Kind, described: Value) -> Self {
        let fake = Fake::start(kind).await;
        fake.set_tools(vec![described.clone()]);
        let server = fake.server();
        let tool = published(&server, &described);
        Self { fake, server, upstreams: upstreams(), tool }
    }

    async fn call(&self) -> Result<Answer, UpstreamFailure> {
        self.call_with(&json!({}), 1 << 20, 5_000, Era::Modern).await
    }

    async fn call_with(
        &self,
        arguments: &Value,
        max_bytes: usize,
        milliseconds: u64,
        client_era: Era,
    ) -> Result<Answer, UpstreamFailure> {
        self.call_told(arguments, max_bytes, milliseconds, client_era, None).await
    }

    /// A call whose progress is heard.
    async fn call_heard(&self, progress: &dyn OnProgress) -> Result<Answer, UpstreamFailure> {
        self.call_told(&json!({}), 1 << 20, 5_000, Era::Modern, Some(progress)).await
    }

    async fn call_told(
        &self,
        arguments: &Value,
        max_bytes: usize,
        milliseconds: u64,
        client_era: Era,
        progress: Option<&dyn OnProgress>,
    ) -> Result<Answer, UpstreamFailure> {
        let call = Call {
            server: &self.server,
            tool: &self.tool,
            credential: None,
            arguments,
            deadline: in_ms(milliseconds),
            max_bytes,
            client_era,
            progress,
            stands: &|| true,
        };
        self.upstreams.call(&call).await
    }
}
