//! One request: who asks, what for, and what it came to.
//!
//! Who asks is known before a body is read, and asked again after: what was revoked, blocked or taken away while it arrived
//! counts. An act that was begun is done to its end in a task of its own, whether or not anybody waits for the answer.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use ambit_identity::{
    admin::{self as identity, AdminPerson, Refusal},
    server::Source,
    signing::Signing,
    verify::strict_object,
};
use ambit_live::Live;
use ambit_model::operator::Actor;
use axum::{
    body::Body,
    extract::Request,
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{CONTENT_LENGTH, CONTENT_TYPE},
        request::Parts,
    },
    response::{IntoResponse as _, Response},
};
use http_body_util::{BodyExt as _, Limited};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::sync::Semaphore;

use super::{
    grants, openapi,
    problem::{Kind, Trouble},
    routes::{Operation, Route},
    wants,
};
use crate::operator::{Act, ActError, Done, OperatorContext, perform};

/// The largest body, in bytes.
pub(super) const MAX_BODY: usize = 256 * 1024;

/// The longest query, in bytes.
const MAX_QUERY: usize = 8 * 1024;

/// The most acts at once; more wait.
const MAX_AT_ONCE: u32 = 8;

/// What every request is given.
#[derive(Clone)]
pub(crate) struct Room {
    live: Live,
    signing: Arc<Signing>,
    operator: OperatorContext,
    acting: Arc<Semaphore>,
    /// What `/openapi.json` says.
    description: Arc<str>,
}

impl Room {
    pub(crate) fn new(live: Live, signing: Arc<Signing>, operator: OperatorContext) -> Self {
        Self {
            live,
            signing,
            operator,
            acting: Arc::new(Semaphore::new(MAX_AT_ONCE as usize)),
            description: openapi::text().into(),
        }
    }

    pub(super) fn live(&self) -> &Live {
        &self.live
    }

    /// Waits until every act that was begun is done. False if that takes too long.
    pub(super) async fn finish(&self, within: Duration) -> bool {
        tokio::time::timeout(within, self.acting.acquire_many(MAX_AT_ONCE)).await.is_ok()
    }

    async fn authenticate(&self, head: &Parts) -> Result<AdminPerson, Trouble> {
        let person = AdminPerson::authenticate(&self.live, &self.signing, &head.headers, head.uri.query()).await;
        person.map_err(|refusal| self.refused(&refusal, head))
    }

    /// Counts a refusal and says it.
    fn refused(&self, refusal: &Refusal, head: &Parts) -> Trouble {
        if let Some(Source(source)) = head.extensions.get() {
            self.live.recorder().refused_early(identity::SLUG, *source, refusal.reason());
        }
        let status = refusal.status();
        let kind = match refusal {
            Refusal::SwitchedOff => Kind::NotFound,
            Refusal::NoRole(_) => Kind::NoRole,
            Refusal::Store(_) => Kind::Unavailable,
            Refusal::NotForAdmin(_) | Refusal::Stale | Refusal::Auth(_) => Kind::Unauthenticated,
        };
        let challenge = self.live.current().deployment.admin.as_ref().and_then(|resource| refusal.challenge(resource));
        Trouble::new(kind, refusal.to_string()).challenged(challenge).with_status(status)
    }

    /// Performs an act to its end, whether or not anybody waits for it.
    async fn perform(&self, act: Act, by: Actor) -> Result<Done, Trouble> {
        let defect =
            || Trouble::new(Kind::Defect, "the act ended abnormally: look at the log, and at what is there now");
        let Ok(slot) = Arc::clone(&self.acting).acquire_owned().await else { return Err(defect()) };
        let context = self.operator.clone();
        let doing = tokio::spawn(async move {
            let done = perform(act, &by, &context).await;
            drop(slot);
            done
        });
        Ok(doing.await.map_err(|_| defect())??)
    }
}

/// Answers a request to a route. `id` is what its path names, if it names something.
pub(super) async fn hear(room: &Room, route: &Route, id: Option<String>, request: Request) -> Response {
    match answer(room, route, id.as_deref().unwrap_or(""), request).await {
        Ok(response) => response,
        Err(trouble) => trouble.into_response(),
    }
}

async fn answer(room: &Room, route: &Route, id: &str, request: Request) -> Result<Response, Trouble> {
    let (head, body) = request.into_parts();
    match route.operation {
        Operation::OpenApi => return Ok(json(StatusCode::OK, room.description.to_string())),
        Operation::Metadata => {
            let snapshot = room.live.current();
            let resource = snapshot.deployment.admin.as_ref().ok_or_else(Trouble::absent)?;
            return Ok(identity::metadata(resource).into_response());
        }
        _ => {}
    }
    room.authenticate(&head).await?;
    let asked = Asked { head: &head, body: read_body(&head.headers, body).await?, id };
    let person = room.authenticate(&head).await?;
    if route.operation == Operation::Decide {
        person.fresh(room.live.clock().now()).map_err(|refusal| room.refused(&refusal, &head))?;
    }
    let by = person.actor();
    let act = match asked.understood(route.operation)? {
        Wish::Grants(query) => {
            let page = grants::list(&room.live, &by, &query).await?;
            return Ok(json(StatusCode::OK, serde_json::to_string(&page).unwrap_or_default()));
        }
        Wish::Act(act) => act,
    };
    let done = match (room.perform(act.clone(), by.clone()).await, act) {
        // Whoever may not know of a grant is told no more than that there is none of theirs.
        (Err(trouble), Act::End { id, .. }) if trouble.is_not_yours() => {
            let is_shown = grants::is_shown(&room.live, &by, &id).await.map_err(Trouble::from)?;
            let absent = ActError::Absent(format!("there is no grant or reveal `{id}` that is yours to end"));
            return Err(if is_shown { trouble } else { absent.into() });
        }
        (done, _) => done?,
    };
    let status = StatusCode::from_u16(route.status()).unwrap_or(StatusCode::OK);
    Ok(json(status, serde_json::to_string(&done).unwrap_or_default()))
}

/// What a request turned out to be.
enum Wish {
    Grants(Box<grants::Query>),
    Act(Act),
}

/// A request whose body was read.
struct Asked<'a> {
    head: &'a Parts,
    body: Vec<u8>,
    id: &'a str,
}

impl Asked<'_> {
    fn understood(&self, operation: Operation) -> Result<Wish, Trouble> {
        let act = match operation {
            Operation::Metadata | Operation::OpenApi => return Err(Trouble::absent()),
            Operation::ListGrants => return Ok(Wish::Grants(Box::new(self.of_query()?))),
            Operation::MakeGrant => self.of_body::<wants::NewGrant>()?.into_act()?,
            Operation::EndGrant => self.of_query::<wants::Ending>()?.into_act(self.id)?,
            Operation::MakeReveal => self.of_body::<wants::NewReveal>()?.into_act()?,
            Operation::ListApprovals => self.of_nothing(Act::ListApprovals {})?,
            Operation::ShowApproval => self.of_nothing(wants::approval(self.id)?)?,
            Operation::Decide => self.of_body::<wants::Decision>()?.into_act(self.id)?,
            Operation::Revoke => self.of_body::<wants::Marking>()?.revocation()?,
            Operation::Block => self.of_body::<wants::Marking>()?.block()?,
            Operation::Unblock => self.of_query::<wants::Lifting>()?.into_act()?,
            Operation::ListGlass => self.of_nothing(Act::ListGlass {})?,
            Operation::ReviewGlass => self.of_body::<wants::Review>()?.into_act(self.id)?,
        };
        Ok(Wish::Act(act))
    }

    /// What is said in a body, and nowhere else.
    fn of_body<T: DeserializeOwned>(&self) -> Result<T, Trouble> {
        self.no_query()?;
        let mut types = self.head.headers.get_all(CONTENT_TYPE).iter();
        let essence = types.next().and_then(|value| value.to_str().ok()?.split(';').next());
        if types.next().is_some() || !essence.is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")) {
            return Err(Trouble::new(Kind::MediaType, "send one JSON object as `Content-Type: application/json`"));
        }
        let object = strict_object(&self.body)
            .map_err(|error| Trouble::new(Kind::Malformed, format!("the body {error}: correct it")))?;
        of_members(object)
    }

    /// What is said in the query, and nowhere else.
    fn of_query<T: DeserializeOwned>(&self) -> Result<T, Trouble> {
        self.no_body()?;
        let query = self.head.uri.query().unwrap_or("");
        if query.len() > MAX_QUERY {
            return Err(Trouble::new(Kind::TooLarge, format!("a query has at most {MAX_QUERY} bytes")));
        }
        let mut members = serde_json::Map::new();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            if members.insert(name.to_string(), Value::String(value.into_owned())).is_some() {
                return Err(Trouble::new(Kind::Malformed, "stands twice: say it once").at(pointer(&name)));
            }
        }
        of_members(members)
    }

    fn of_nothing(&self, act: Act) -> Result<Act, Trouble> {
        self.no_body()?;
        self.no_query()?;
        Ok(act)
    }

    fn no_query(&self) -> Result<(), Trouble> {
        match self.head.uri.query() {
            None | Some("") => Ok(()),
            Some(_) => Err(Trouble::new(Kind::Malformed, "this takes no query: leave it out")),
        }
    }

    fn no_body(&self) -> Result<(), Trouble> {
        if self.body.is_empty() {
            return Ok(());
        }
        Err(Trouble::new(Kind::Malformed, "this takes no body: leave it out"))
    }
}

fn of_members<T: DeserializeOwned>(members: serde_json::Map<String, Value>) -> Result<T, Trouble> {
    serde_json::from_value(Value::Object(members))
        .map_err(|error| Trouble::new(Kind::Malformed, format!("{error}: `/openapi.json` says what is taken here")))
}

fn pointer(name: &str) -> String {
    format!("/{}", name.chars().take(80).collect::<String>().replace('~', "~0").replace('/', "~1"))
}

async fn read_body(headers: &HeaderMap, body: Body) -> Result<Vec<u8>, Trouble> {
    let too_large = || Trouble::new(Kind::TooLarge, format!("a body has at most {MAX_BODY} bytes"));
    let announced = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    if announced.is_some_and(|length| length > MAX_BODY) {
        return Err(too_large());
    }
    match Limited::new(body, MAX_BODY).collect().await {
        Ok(read) => Ok(read.to_bytes().into()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => Err(too_large()),
        Err(_) => Err(Trouble::new(Kind::Malformed, "the body did not arrive whole: send it again")),
    }
}

fn json(status: StatusCode, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// What a path names: the one segment that a route leaves open.
pub(super) fn named(parameters: &BTreeMap<String, String>) -> Option<String> {
    parameters.get("id").cloned()
}
