//! The decision point: what the corridor would say of a call, asked without making the call (AuthZEN Authorization API 1.0).
//!
//! It stands at each endpoint and speaks about that endpoint alone: a token is for one endpoint, and a question that named
//! another would be asked with a token that is not for it. Whoever asks is authenticated like whoever calls, from the headers,
//! before the body is read. Nothing here is dispatched or spent, neither budget of a call nor approval, and nothing makes a
//! permit: what comes out is a word, and what was said is in the trail before it leaves.

mod answer;
mod ask;
mod evaluate;
mod metadata;
mod subject;

use ambit_mcp::headers;
use axum::{
    body::Body,
    extract::{Request, State},
    response::Response,
};
use http::{HeaderMap, HeaderName, Method, StatusCode};

use crate::{
    answer::{Note, Reply},
    authenticate::{self, Entered},
    budget,
    doors::Source,
    gateway::Gateway,
    guard,
    http::{self as shell, Arrival, Place},
    parse,
    receive::receive,
    trail::{self, Closed, Evaluating},
};
use ask::{Asked, Semantic};
pub(crate) use evaluate::{About, Action, Evaluation};
pub(crate) use metadata::{configuration, preflight};
use subject::Subject;

/// What tells one request of a client from its others; it comes back with the answer, as it came.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest one that is taken, in bytes.
const LONGEST_REQUEST_ID: usize = 512;

/// What stands after the path of an endpoint, or at the root for the default one.
const EVALUATION: &str = "/access/v1/evaluation";
const EVALUATIONS: &str = "/access/v1/evaluations";

/// Whoever has no right to ask about others is told this, whoever it was about and whether there is anybody like that.
const ONLY_ITSELF: &str = "this token may ask about itself alone: to ask about others takes a client with `pep = true`";

/// How much one request may ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Api {
    /// One question.
    Evaluation,
    /// Several.
    Evaluations,
}

/// Every request to an Access Evaluation API.
pub(crate) async fn evaluation(State(gateway): State<Gateway>, request: Request) -> Response {
    answer(&gateway, request, Api::Evaluation).await
}

/// Every request to an Access Evaluations API.
pub(crate) async fn evaluations(State(gateway): State<Gateway>, request: Request) -> Response {
    answer(&gateway, request, Api::Evaluations).await
}

async fn answer(gateway: &Gateway, request: Request, api: Api) -> Response {
    let (head, body) = request.into_parts();
    let source = Source::of(&head);
    let find = |path: &str| {
        let suffix = match api {
            Api::Evaluation => EVALUATION,
            Api::Evaluations => EVALUATIONS,
        };
        Place::find(gateway.live().current(), metadata::endpoint_path(path.strip_suffix(suffix)?))
    };
    let (id, closed) = match Arrival::at(find, head, source) {
        Some(arrival) => {
            let id = arrival.head.headers.get(REQUEST_ID).cloned();
            (id, pass(gateway, arrival, body, api).await)
        }
        None => (None, trail::refuse_early(gateway, "other", source, shell::no_such_endpoint())),
    };
    let mut response = shell::respond(closed);
    if let Some(id) = id.filter(|id| id.len() <= LONGEST_REQUEST_ID) {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

async fn pass(gateway: &Gateway, arrival: Arrival, body: Body, api: Api) -> Closed<Reply> {
    let verb = arrival.head.method.clone();
    let entered = match authenticate::authenticate(gateway, arrival).await {
        Ok(entered) => entered,
        Err(closed) => {
            parse::discard(body, parse::OF_STRANGERS).await;
            return closed;
        }
    };
    let _place = match budget::admit(gateway, &entered) {
        Ok(place) => place,
        Err(reply) => {
            parse::discard(body, parse::OF_STRANGERS).await;
            return trail::refuse_over_budget(gateway, &entered, in_words(reply));
        }
    };
    if verb != Method::POST {
        return entered.refuse(gateway, Reply::method_not_allowed());
    }
    let admitted = admit(&entered.head().headers);
    let (body, _part) = match receive(gateway, &entered, body, admitted).await {
        Ok(received) => received,
        Err(reply) => return entered.refuse(gateway, in_words(reply)),
    };
    let entered = match entered.on_current(gateway).await {
        Ok(entered) => entered,
        Err(closed) => return closed,
    };
    let asked = match Asked::read(&body, api == Api::Evaluations, &gateway.shared.settings.limits) {
        Ok(asked) => asked,
        Err(sentence) => return entered.refuse(gateway, told(StatusCode::BAD_REQUEST, &sentence, "not_a_question")),
    };
    // Each question costs what a request does; the first is paid for.
    let many = asked.questions.len();
    if let Some(most) = budget::most_together(&entered).filter(|most| many > *most) {
        let sentence = format!(
            "{many} evaluations are more than the {most} requests of this login's budget that may come at once: ask at most {most} in one request"
        );
        return entered.refuse(gateway, told(StatusCode::BAD_REQUEST, &sentence, "not_a_question"));
    }
    if let Err(reply) = budget::admit_more(gateway, &entered, many.saturating_sub(1)) {
        return trail::refuse_over_budget(gateway, &entered, in_words(reply));
    }
    if let Err(down) = guard::is_open(gateway.live().mode()) {
        return entered.refuse(gateway, in_words(Reply::down(down, None)));
    }
    decide(gateway, &entered, asked).await
}

/// What the headers say about the body.
fn admit(headers: &HeaderMap) -> Result<(), Reply> {
    if headers::sends_json(headers).is_err() {
        let sentence = "the body is not announced as JSON: send `Content-Type: application/json`";
        return Err(told(StatusCode::BAD_REQUEST, sentence, "not_json_by_header"));
    }
    if headers.get(REQUEST_ID).is_some_and(|id| id.len() > LONGEST_REQUEST_ID) {
        let sentence = format!("`X-Request-ID` is longer than {LONGEST_REQUEST_ID} bytes: send a shorter one");
        return Err(told(StatusCode::BAD_REQUEST, &sentence, "long_request_id"));
    }
    Ok(())
}

/// Answers every question, or none: whose questions they are is looked at before the first one is.
async fn decide(gateway: &Gateway, entered: &Entered, asked: Asked<'_>) -> Closed<Reply> {
    let mut subjects = Vec::with_capacity(asked.questions.len());
    for question in &asked.questions {
        let subject = question.as_ref().ok().map(|question| Subject::of(gateway, entered, question));
        match subject.transpose() {
            Ok(subject) => subjects.push(subject),
            Err(subject::NotItself) => {
                return entered.refuse(gateway, told(StatusCode::FORBIDDEN, ONLY_ITSELF, "not_itself"));
            }
        }
    }
    let mut evaluating = match Evaluating::open(gateway, entered, asked.questions.len()) {
        Ok(evaluating) => evaluating,
        Err(closed) => return closed,
    };
    let mut decisions = Vec::with_capacity(asked.questions.len());
    for (question, subject) in asked.questions.iter().zip(&subjects) {
        let evaluation = match (question, subject) {
            (Ok(question), Some(subject)) => evaluate::evaluate(gateway, entered.place(), subject, question).await,
            (Err(sentence), _) => Evaluation::malformed(sentence),
            (Ok(_), None) => Evaluation::malformed("the question has no subject"),
        };
        evaluating.write(entered, &evaluation);
        decisions.push(answer::decision(&evaluation));
        let is_last = match asked.semantic {
            Semantic::ExecuteAll => false,
            Semantic::DenyOnFirstDeny => !evaluation.is_allowed(),
            Semantic::PermitOnFirstPermit => evaluation.is_allowed(),
        };
        if is_last {
            break;
        }
        // One question may be as much work as a call; others have their turn before the next.
        tokio::task::yield_now().await;
    }
    let body = answer::body(decisions, asked.are_several);
    evaluating.close(Reply::result(body, Note::of("ok"))).await
}

/// An error as the specification has it (§12.1.2): a status, and a message that is a string.
fn told(status: StatusCode, sentence: &str, result: &'static str) -> Reply {
    let body = serde_json::Value::from(sentence).to_string();
    Reply { status, ..Reply::result(body.into_bytes(), Note::of(result)) }
}

/// What the corridor tells in JSON-RPC, told here: the same status and headers, and the sentence alone. What is told in a
/// string already stays as it is.
pub(crate) fn in_words(reply: Reply) -> Reply {
    let body: serde_json::Value = serde_json::from_slice(&reply.body).unwrap_or_default();
    match body.pointer("/error/message") {
        Some(sentence) => Reply { body: sentence.to_string().into_bytes(), ..reply },
        None => reply,
    }
}
