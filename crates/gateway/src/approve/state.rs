//! `requestState` of a call that waits for people (MCP 2026-07-28, multi-round-trip requests). It says which round this is and
//! opens only for the same caller, endpoint and exact call, for a while. It approves nothing: the store is asked each time.

use ambit_live::{Live, keys::Use};
use ambit_mcp::strict::Params;
use ambit_model::{
    Digest,
    approval::{REQUEST_LIFE_MS, UNUSED_LIFE_MS},
    ids::Millis,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::guard::Unapproved;

/// Longest state that is read, in bytes; ours are shorter.
const LONGEST: usize = 512;

/// As long as a request can be of use.
const LIFE_MS: Millis = REQUEST_LIFE_MS + UNUSED_LIFE_MS;

/// What a client was shown already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct State {
    /// How often in a row.
    pub(super) round: u8,
}

impl State {
    /// The state a call brings, if it brings one.
    ///
    /// # Errors
    /// What to do about one that is not ours, not of this call and caller, or too old.
    pub(super) fn of(live: &Live, unapproved: &Unapproved, params: &Params<'_>) -> Result<Option<Self>, &'static str> {
        let Some(text) = params.request_state.as_deref() else { return Ok(None) };
        let refused = "`requestState` is not one of this call, was altered, or is too old: call again without it";
        Self::open(live, unapproved, text).map(Some).ok_or(refused)
    }

    fn open(live: &Live, unapproved: &Unapproved, text: &str) -> Option<Self> {
        let sealed = URL_SAFE_NO_PAD.decode(Some(text).filter(|text| text.len() <= LONGEST)?).ok()?;
        let state = live.keys().unseal(Use::RequestState, &sealed, &bound_to(unapproved))?;
        let (until, rest) = state.split_first_chunk()?;
        let [round] = rest else { return None };
        (live.clock().now() < Millis::from_be_bytes(*until)).then_some(Self { round: *round })
    }

    /// The text a client brings back; `None` if the system gives no randomness.
    pub(super) fn seal(self, live: &Live, unapproved: &Unapproved, now: Millis) -> Option<String> {
        let mut state = now.saturating_add(LIFE_MS).to_be_bytes().to_vec();
        state.push(self.round);
        let sealed = live.keys().seal(Use::RequestState, &state, &bound_to(unapproved));
        let sealed = sealed.inspect_err(|error| tracing::error!(%error, "no request state could be sealed")).ok()?;
        Some(URL_SAFE_NO_PAD.encode(sealed))
    }
}

/// The exact call holds caller, client, endpoint, tool and arguments.
fn bound_to(unapproved: &Unapproved) -> [u8; 32] {
    Digest::of_parts([b"approval".as_slice(), &unapproved.call().0]).0
}
