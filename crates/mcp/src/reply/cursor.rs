//! Where a page of `tools/list` ended.
//!
//! The cursor holds the last name shown, not a position, so it stays right when tools come and go
//! between two pages. It carries a check sum against damage, not against forgery: any name a caller
//! puts in only moves the start of a list that is filtered for that caller anyway.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::error::RpcError;

/// Longest cursor read, in characters; shown names are far shorter.
const LONGEST: usize = 512;
const TAG: u8 = b't';

/// The next page begins after this shown name, in byte order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolsCursor {
    after: String,
}

/// A cursor that is not one of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid cursor; start again without one")]
pub struct BadCursor;

impl BadCursor {
    /// `-32602`.
    pub fn to_rpc(self) -> RpcError {
        RpcError::invalid_cursor()
    }
}

impl ToolsCursor {
    /// A cursor behind the last name of a page.
    pub fn after(name: impl Into<String>) -> Self {
        Self { after: name.into() }
    }

    /// The last name of the page before.
    pub fn name(&self) -> &str {
        &self.after
    }

    /// The opaque text for `nextCursor`.
    pub fn encode(&self) -> String {
        let name = self.after.as_bytes();
        let mut bytes = Vec::with_capacity(name.len() + 5);
        bytes.push(TAG);
        bytes.extend_from_slice(&check_sum(name).to_be_bytes());
        bytes.extend_from_slice(name);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a cursor a client sent back.
    pub fn decode(text: &str) -> Result<Self, BadCursor> {
        if text.len() > LONGEST {
            return Err(BadCursor);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| BadCursor)?;
        let (head, name) = bytes.split_at_checked(5).ok_or(BadCursor)?;
        let name = std::str::from_utf8(name).map_err(|_| BadCursor)?;
        let [tag, sum @ ..] = head else {
            return Err(BadCursor);
        };
        if *tag != TAG || *sum != check_sum(name.as_bytes()).to_be_bytes() {
            return Err(BadCursor);
        }
        Ok(Self { after: name.to_owned() })
    }
}

/// FNV-1a, 32 bits.
fn check_sum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}
