//! One HTTP/1.1 request to a program on loopback, for probes and set-up. Never anywhere else.

use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The head, with its start line.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The first value of a header field.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (field, value) = line.split_once(':')?;
            field.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

/// A request as it goes on the wire.
pub fn request(method: &str, path: &str, host: &str, headers: &[(&str, &str)], body: &str) -> String {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n");
    for (name, value) in headers {
        text.push_str(&[name, ": ", value, "\r\n"].concat());
    }
    if !body.is_empty() {
        text.push_str(&["content-length: ", &body.len().to_string(), "\r\n"].concat());
    }
    text.push_str("\r\n");
    text.push_str(body);
    text
}

/// Sends a request and reads the answer to the end of the connection or of its length.
pub fn send(address: &str, request: &str) -> Result<Answer> {
    let address: SocketAddr = address.parse().with_context(|| format!("`{address}` is no address"))?;
    if !address.ip().is_loopback() {
        bail!("`{address}` is not loopback");
    }
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(request.as_bytes())?;
    let mut read = Vec::new();
    let mut piece = [0_u8; 16 * 1024];
    // Where the body begins, and how long it is if that is said.
    let mut shape: Option<(usize, Option<usize>)> = None;
    loop {
        if shape.is_none()
            && let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n")
        {
            let head = String::from_utf8_lossy(read.get(..end).unwrap_or_default()).into_owned();
            let answer = Answer { status: status_of(&head)?, head, body: String::new() };
            let length = answer.header("content-length").and_then(|length| length.parse().ok());
            let without_body = answer.status == 204 || answer.status == 202;
            shape = Some((end + 4, length.or(without_body.then_some(0))));
        }
        let is_whole = match shape {
            Some((body, Some(length))) => read.len() >= body + length,
            Some((_, None)) => read.ends_with(b"0\r\n\r\n"),
            None => false,
        };
        if is_whole {
            let text = String::from_utf8_lossy(&read);
            let (head, body) = text.split_once("\r\n\r\n").context("no head")?;
            let chunked = shape.is_some_and(|(_, length)| length.is_none());
            let body = if chunked { join_chunks(body) } else { body.to_owned() };
            return Ok(Answer { status: status_of(head)?, head: head.to_owned(), body });
        }
        let count = stream.read(&mut piece)?;
        if count == 0 {
            bail!("`{address}` closed the connection inside its answer: {}", String::from_utf8_lossy(&read));
        }
        read.extend_from_slice(piece.get(..count).unwrap_or_default());
    }
}

/// Whether a path answers 200.
pub fn is_ok(address: &str, path: &str) -> bool {
    send(address, &request("GET", path, address, &[("connection", "close")], ""))
        .is_ok_and(|answer| answer.status == 200)
}

fn status_of(head: &str) -> Result<u16> {
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.with_context(|| format!("no status in `{}`", head.lines().next().unwrap_or_default()))
}

fn join_chunks(body: &str) -> String {
    let mut joined = String::new();
    let mut rest = body;
    while let Some((size, after)) = rest.split_once("\r\n") {
        let Some(chunk) = usize::from_str_radix(size.trim(), 16).ok().and_then(|size| after.get(..size)) else { break };
        joined.push_str(chunk);
        rest = after.get(chunk.len() + 2..).unwrap_or_default();
    }
    joined
}
