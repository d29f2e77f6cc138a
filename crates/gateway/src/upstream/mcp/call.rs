//! One call of one tool.
//!
//! The request goes out once. If the server proves that it did not take it (its session is over, or
//! it now speaks the other era), the gateway connects anew, reads the tool's definition again, and
//! sends the call a second time only if the definition is still the accepted one: a server that
//! was restarted may be another program.

use std::fmt;

use std::sync::Arc;

use ambit_egress::Stands;
use ambit_live::catalogue::{Binding, PublishedTool, ServerCatalogue};
use ambit_live::credentials::Spendable;
use ambit_mcp::OwnedRaw;
use ambit_mcp::era::Era;
use ambit_mcp::headers;
use ambit_mcp::upstream::{CallResult, Progress, RemoteError, ResultFault, request};
use ambit_model::server::Server;
use http::StatusCode;
use serde_json::Value;
use tokio::time::Instant;

use super::McpUpstreams;
use super::connection::{Connection, Took};
use super::exchange::{Exchange, Told};
use super::failure::UpstreamFailure;
use super::list::list_over;
use super::one::{Lane, Presented, Upstream, presented};

/// A call that was judged, guarded and recorded.
#[derive(Clone, Copy)]
pub struct Call<'c> {
    /// The server.
    pub server: &'c Server,
    /// The tool, as it was accepted.
    pub tool: &'c PublishedTool,
    /// What is spent for it.
    pub credential: Option<&'c Spendable>,
    /// The arguments, exactly as they were judged.
    pub arguments: &'c Value,
    /// When the last byte of the answer must be there.
    pub deadline: Instant,
    /// Most bytes of the answer.
    pub max_bytes: usize,
    /// The era of the client, whose form the result gets.
    pub client_era: Era,
    /// Who is told how far the call has come. Without, the server is not asked to tell.
    pub progress: Option<&'c dyn OnProgress>,
    /// Asked right before it leaves.
    pub stands: Stands<'c>,
}

/// Hears how far a call has come.
pub trait OnProgress: fmt::Debug + Send + Sync {
    /// The server told so, of this call, before its result. Whether it is true, new or too much is not known.
    fn told(&self, progress: Progress<'_>);
}

/// The result of a call.
#[derive(Debug)]
pub struct Answer {
    /// The complete `result` object: the server's bytes, with nothing changed but what the
    /// client's era demands.
    pub result: OwnedRaw,
    /// Whether the tool says that it failed.
    pub is_error: bool,
    /// Bytes of the message it came in.
    pub received_bytes: usize,
    /// The revision the server speaks.
    pub era: Era,
}

/// How one attempt ended without a failure.
enum Attempt {
    Answered(Answer),
    /// The server proved that it did not take the request.
    Unheard(UpstreamFailure),
}

impl McpUpstreams {
    /// Carries out a call.
    ///
    /// # Errors
    /// [`UpstreamFailure`] says whether the call may have run all the same.
    pub async fn call(&self, call: &Call<'_>) -> Result<Answer, UpstreamFailure> {
        let upstream = self.one(call.server)?;
        run(&upstream, call).await.map_err(|failure| failure.without(call.credential))
    }
}

async fn run(upstream: &Upstream, call: &Call<'_>) -> Result<Answer, UpstreamFailure> {
    let Binding::Mcp { name } = &call.tool.binding else {
        return Err(UpstreamFailure::not_mcp(&call.server.slug));
    };
    let presented = presented(call.credential);
    let connection = upstream.connected(&presented, call.deadline).await?;
    let why = match attempt(upstream, &connection, &presented, call, name).await? {
        Attempt::Answered(answer) => return Ok(answer),
        Attempt::Unheard(why) => why,
    };
    Box::pin(again(upstream, &connection, &presented, (call, name), why)).await
}

/// Over a new connection, if the tool there still is the accepted one.
async fn again(
    upstream: &Upstream,
    connection: &Arc<Connection>,
    presented: &Presented,
    (call, name): (&Call<'_>, &str),
    why: UpstreamFailure,
) -> Result<Answer, UpstreamFailure> {
    upstream.forget(presented, connection);
    let fresh = match upstream.connected(presented, call.deadline).await {
        Ok(fresh) if *fresh == **connection => return Err(why),
        Ok(fresh) => fresh,
        // The first attempt counts if it may have come to something.
        Err(_) if why.may_have_happened() => return Err(why),
        Err(failure) => return Err(failure),
    };
    upstream.suspect();
    if !is_still_accepted(upstream, &fresh, call, name).await? {
        return Err(UpstreamFailure::changed(&upstream.slug));
    }
    match attempt(upstream, &fresh, presented, call, name).await? {
        Attempt::Answered(answer) => Ok(answer),
        Attempt::Unheard(why) => Err(why),
    }
}

async fn attempt(
    upstream: &Upstream,
    connection: &Connection,
    presented: &Presented,
    call: &Call<'_>,
    name: &str,
) -> Result<Attempt, UpstreamFailure> {
    let exchange = Exchange {
        upstream,
        connection,
        presented,
        deadline: call.deadline,
        max_bytes: call.max_bytes,
        progress: call.progress,
        lane: Lane::Calls,
        stands: call.stands,
    };
    let id = upstream.next_id();
    let era = connection.era();
    let progress_token = call.progress.map(|_| id);
    let body = request::tools_call(id, era, name, call.arguments, progress_token, &upstream.client);
    // The definition is the one that was accepted, whatever the server says by now.
    let mirrors = era.is_modern().then(|| call.tool.mirrors());
    let target = headers::Target {
        method: "tools/call",
        name: Some(name),
        mirrored: mirrors.map(|mirrors| (mirrors, call.arguments)),
        session: connection.session(),
    };
    let told = exchange
        .ask(&target, id, body, |_, result| {
            let result = CallResult::read(result)?;
            Ok::<_, ResultFault>((result.for_client(call.client_era), result.is_error()))
        })
        .await?;
    match told {
        Told::Result(Ok((result, is_error)), received_bytes) => {
            Ok(Attempt::Answered(Answer { result, is_error, received_bytes, era }))
        }
        Told::Result(Err(fault), _) => Err(UpstreamFailure::result(&upstream.slug, &fault)),
        Told::Error(error, status) => {
            if error.code == -32602 {
                // Perhaps the tool is gone.
                upstream.suspect();
            }
            let failure = UpstreamFailure::remote(&upstream.slug, &error);
            match connection.took(status, Some(&error)) {
                Took::Not => Ok(Attempt::Unheard(failure.before_the_call())),
                Took::NotIfOther => Ok(Attempt::Unheard(failure)),
                Took::Perhaps if Box::pin(refuses_even_a_ping(&exchange, status, Some(&error))).await => {
                    Ok(Attempt::Unheard(failure.before_the_call()))
                }
                Took::Perhaps | Took::It => Err(failure),
            }
        }
        Told::Refused(status) => {
            let failure = UpstreamFailure::refused(&upstream.slug, status);
            match connection.took(status, None) {
                Took::Not => Ok(Attempt::Unheard(failure.before_the_call())),
                Took::NotIfOther => Ok(Attempt::Unheard(failure)),
                Took::Perhaps if Box::pin(refuses_even_a_ping(&exchange, status, None)).await => {
                    Ok(Attempt::Unheard(failure.before_the_call()))
                }
                Took::Perhaps | Took::It => Err(failure),
            }
        }
    }
}

/// Whether a ping over the same session is refused in the very same way: then the refusal was of the
/// session, and what was asked was not looked at.
async fn refuses_even_a_ping(exchange: &Exchange<'_>, status: StatusCode, error: Option<&RemoteError>) -> bool {
    let exchange = Exchange { progress: None, lane: Lane::Upkeep, ..*exchange };
    let id = exchange.upstream.next_id();
    let session = exchange.connection.session();
    let target = headers::Target { method: "ping", name: None, mirrored: None, session };
    match exchange.ask(&target, id, request::ping(id), |_, _| ()).await {
        Ok(Told::Error(again, again_status)) => again_status == status && Some(&again) == error,
        Ok(Told::Refused(again_status)) => again_status == status && error.is_none(),
        Ok(Told::Result(..)) | Err(_) => false,
    }
}

/// Whether the server still describes the tool as it was accepted.
async fn is_still_accepted(
    upstream: &Upstream,
    connection: &Connection,
    call: &Call<'_>,
    name: &str,
) -> Result<bool, UpstreamFailure> {
    let listed = list_over(upstream, connection, call.server.limits, call.credential, call.deadline).await;
    let mut listing = listed.map_err(|stopped| stopped.into_failure().before_the_call())?;
    listing.tools.retain(|tool| tool.name == name);
    let now = ServerCatalogue::from_mcp(call.server, listing.tools, Vec::new(), 0);
    Ok(now.tools.get(&call.tool.id().tool).is_some_and(|tool| tool.pin() == call.tool.pin()))
}
