//! Server-sent events (WHATWG HTML §9.2) as MCP uses them: one JSON-RPC message per event.
//!
//! [`Event::encode`] writes what we send; [`Decoder`] reads what an upstream sends, in chunks cut
//! anywhere. The decoder holds at most one event and refuses one that grows over its cap; it must
//! never buffer without bound and never repair bytes that are not UTF-8.

#[cfg(test)]
mod tests;

/// `Content-Type` of a stream.
pub const CONTENT_TYPE: &str = "text/event-stream";

/// A comment line with its blank line: keeps an idle connection open, says nothing.
pub const KEEP_ALIVE: &[u8] = b":\n\n";

/// One event, for writing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Event<'e> {
    /// `id`, for resumption in the legacy era. Left out if it holds CR, LF or NUL.
    pub id: Option<&'e str>,
    /// `event`; MCP uses the default type, `message`. Left out if it holds CR or LF.
    pub name: Option<&'e str>,
    /// `retry`, in milliseconds.
    pub retry_ms: Option<u64>,
    /// The payload. Line ends inside become `\n`, which JSON does not mind.
    pub data: &'e str,
}

impl<'e> Event<'e> {
    /// The plain message event of one JSON-RPC message.
    pub fn message(data: &'e str) -> Self {
        Self { data, ..Self::default() }
    }

    /// The bytes on the wire, blank line included.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.data.len() + 32);
        if let Some(id) = self.id.filter(|id| !id.contains(['\r', '\n', '\0'])) {
            field(&mut out, "id", id);
        }
        if let Some(name) = self.name.filter(|name| !name.contains(['\r', '\n'])) {
            field(&mut out, "event", name);
        }
        if let Some(retry_ms) = self.retry_ms {
            field(&mut out, "retry", &retry_ms.to_string());
        }
        let mut rest = self.data;
        while let Some(end) = rest.find(['\r', '\n']) {
            let (line, tail) = rest.split_at(end);
            field(&mut out, "data", line);
            rest = tail.strip_prefix("\r\n").or_else(|| tail.get(1..)).unwrap_or_default();
        }
        field(&mut out, "data", rest);
        out.push(b'\n');
        out
    }
}

fn field(out: &mut Vec<u8>, name: &str, value: &str) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value.as_bytes());
    out.push(b'\n');
}

/// One event that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// The stream's last event id at this event, if it ever set one.
    pub id: Option<String>,
    /// `event`, if given.
    pub name: Option<String>,
    /// The payload; empty for a priming event.
    pub data: String,
}

/// Why a stream is not read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SseError {
    /// One event is over the cap.
    #[error("event of the stream is over the limit of {0} bytes")]
    TooLong(usize),
    /// Bytes that are not UTF-8.
    #[error("event of the stream is not UTF-8")]
    NotUtf8,
}

/// Reads events out of chunks. After an error the stream is to be dropped.
#[derive(Debug)]
pub struct Decoder {
    max_event_bytes: usize,
    started: bool,
    /// The last byte was CR: a following LF belongs to the same line end.
    after_cr: bool,
    line: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    name: Option<String>,
    id: Option<String>,
    /// The id of the last event that was complete: what a stream can be taken up after.
    complete_id: Option<String>,
    retry_ms: Option<u64>,
}

impl Decoder {
    /// `max_event_bytes` bounds the line being read plus the data gathered for one event.
    pub const fn new(max_event_bytes: usize) -> Self {
        Self {
            max_event_bytes,
            started: false,
            after_cr: false,
            line: Vec::new(),
            data: Vec::new(),
            has_data: false,
            name: None,
            id: None,
            complete_id: None,
            retry_ms: None,
        }
    }

    /// Reads one chunk and appends every event it completes to `events`.
    ///
    /// # Errors
    /// See [`SseError`]; events completed before the fault are in `events`.
    pub fn push(&mut self, chunk: &[u8], events: &mut Vec<Received>) -> Result<(), SseError> {
        let mut rest = chunk;
        while !rest.is_empty() {
            if std::mem::take(&mut self.after_cr)
                && let Some(tail) = rest.strip_prefix(b"\n")
            {
                rest = tail;
                continue;
            }
            let Some(end) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else {
                return self.keep(rest);
            };
            let (part, tail) = rest.split_at(end);
            self.keep(part)?;
            self.after_cr = tail.first() == Some(&b'\r');
            rest = tail.get(1..).unwrap_or_default();
            self.end_line(events)?;
        }
        Ok(())
    }

    /// `true` if the stream could end here without losing a part of an event.
    pub const fn is_between_events(&self) -> bool {
        self.line.is_empty() && !self.has_data
    }

    /// The `id` in force at the last complete event, for `Last-Event-ID`. That of an event which is
    /// still coming does not count: a stream taken up after it would skip it.
    pub fn last_id(&self) -> Option<&str> {
        self.complete_id.as_deref()
    }

    /// The connection broke off and another one goes on: what was begun is dropped, ids stay.
    pub fn start_over(&mut self) {
        self.started = false;
        self.after_cr = false;
        self.line.clear();
        self.data.clear();
        self.has_data = false;
        self.name = None;
        self.id.clone_from(&self.complete_id);
    }

    /// The stream's last `retry`, in milliseconds.
    pub const fn retry_ms(&self) -> Option<u64> {
        self.retry_ms
    }

    fn keep(&mut self, part: &[u8]) -> Result<(), SseError> {
        let held = self.line.len().saturating_add(self.data.len());
        if held.saturating_add(part.len()) > self.max_event_bytes {
            return Err(SseError::TooLong(self.max_event_bytes));
        }
        self.line.extend_from_slice(part);
        Ok(())
    }

    fn end_line(&mut self, events: &mut Vec<Received>) -> Result<(), SseError> {
        let mut line = std::mem::take(&mut self.line);
        if !std::mem::replace(&mut self.started, true) && line.starts_with(b"\xEF\xBB\xBF") {
            line.drain(..3);
        }
        let done = if line.is_empty() { self.dispatch(events) } else { self.read_field(&line) };
        // The allocation serves the next line.
        line.clear();
        self.line = line;
        done
    }

    fn read_field(&mut self, line: &[u8]) -> Result<(), SseError> {
        let (name, value) = match line.iter().position(|byte| *byte == b':') {
            Some(0) => return Ok(()),
            Some(colon) => {
                let (name, value) = line.split_at(colon);
                let value = value.get(1..).unwrap_or_default();
                (name, value.strip_prefix(b" ").unwrap_or(value))
            }
            None => (line, &b""[..]),
        };
        match name {
            b"data" => {
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.has_data = true;
                self.data.extend_from_slice(value);
            }
            b"event" => self.name = Some(text(value)?.to_owned()).filter(|name| !name.is_empty()),
            b"id" if !value.contains(&0) => self.id = Some(text(value)?.to_owned()),
            b"retry" if !value.is_empty() && value.iter().all(u8::is_ascii_digit) => {
                self.retry_ms = text(value)?.parse().ok().or(self.retry_ms);
            }
            _ => {}
        }
        Ok(())
    }

    fn dispatch(&mut self, events: &mut Vec<Received>) -> Result<(), SseError> {
        let name = self.name.take();
        self.complete_id.clone_from(&self.id);
        if !std::mem::take(&mut self.has_data) {
            return Ok(());
        }
        let data = String::from_utf8(std::mem::take(&mut self.data)).map_err(|_| SseError::NotUtf8)?;
        events.push(Received { id: self.id.clone(), name, data });
        Ok(())
    }
}

fn text(bytes: &[u8]) -> Result<&str, SseError> {
    std::str::from_utf8(bytes).map_err(|_| SseError::NotUtf8)
}
