//! HTTP/1.1 messages read from a raw socket, for programs whose own cost must stay small: heads, lengths, nothing more.
//!
//! Reads what well-behaved peers on loopback send; it is no parser for hostile input and never stands in front of one.

use anyhow::{Context as _, Result, bail};
use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// The largest message either side accepts, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024 * 1024;

/// A message as it stood on the wire.
#[derive(Debug)]
pub struct Message {
    /// Start line and header fields, with the empty line.
    pub head: String,
    /// The body, without any chunk framing.
    pub body: BytesMut,
}

impl Message {
    /// The first line.
    pub fn start_line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    /// The first value of a header field.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }
}

/// Reads the next message of a connection. `None` is a connection closed between two messages.
///
/// # Errors
/// The connection broke inside a message, or the message is not HTTP/1.1 with a length or chunks.
pub async fn read_message(stream: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut) -> Result<Option<Message>> {
    let head_bytes = loop {
        if let Some(end) = find(buffer, b"\r\n\r\n") {
            break end + 4;
        }
        if buffer.len() > 64 * 1024 {
            bail!("a head of more than 64 KiB");
        }
        if stream.read_buf(buffer).await? == 0 {
            if buffer.is_empty() {
                return Ok(None);
            }
            bail!("the connection closed inside a head");
        }
    };
    let head = String::from_utf8(buffer.split_to(head_bytes).to_vec()).context("a head that is not UTF-8")?;
    let body = match header(&head, "transfer-encoding") {
        Some(coding) if coding.eq_ignore_ascii_case("chunked") => read_chunks(stream, buffer).await?,
        Some(coding) => bail!("transfer coding `{coding}`"),
        None => match header(&head, "content-length") {
            Some(length) => {
                let length = length.parse().with_context(|| format!("content-length `{length}`"))?;
                read_exactly(stream, buffer, length).await?
            }
            None => BytesMut::new(),
        },
    };
    Ok(Some(Message { head, body }))
}

async fn read_chunks(stream: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut) -> Result<BytesMut> {
    let mut body = BytesMut::new();
    loop {
        let line_end = loop {
            if let Some(end) = find(buffer, b"\r\n") {
                break end;
            }
            fill(stream, buffer).await?;
        };
        let line = buffer.split_to(line_end);
        buffer.advance(2);
        let size = std::str::from_utf8(&line).ok().and_then(|line| line.split(';').next());
        let size = size.and_then(|digits| usize::from_str_radix(digits.trim(), 16).ok()).context("a chunk size")?;
        let chunk = read_exactly(stream, buffer, size).await?;
        read_exactly(stream, buffer, 2).await?;
        if size == 0 {
            return Ok(body);
        }
        body.extend_from_slice(&chunk);
        if body.len() > MAX_MESSAGE_BYTES {
            bail!("a body of more than {MAX_MESSAGE_BYTES} bytes");
        }
    }
}

async fn read_exactly(stream: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut, length: usize) -> Result<BytesMut> {
    if length > MAX_MESSAGE_BYTES {
        bail!("a body of {length} bytes");
    }
    while buffer.len() < length {
        fill(stream, buffer).await?;
    }
    Ok(buffer.split_to(length))
}

async fn fill(stream: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut) -> Result<()> {
    if stream.read_buf(buffer).await? == 0 {
        bail!("the connection closed inside a body");
    }
    Ok(())
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().skip(1).find_map(|line| {
        let (field, value) = line.split_once(':')?;
        field.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read_all(mut bytes: &[u8]) -> Result<Vec<(String, Vec<u8>)>> {
        let mut buffer = BytesMut::new();
        let mut messages = Vec::new();
        while let Some(message) = read_message(&mut bytes, &mut buffer).await? {
            messages.push((message.start_line().to_owned(), message.body.to_vec()));
        }
        Ok(messages)
    }

    #[tokio::test]
    async fn messages_follow_each_other_by_length_and_by_chunks() {
        let wire =
            b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                     2\r\nde\r\n1;x=y\r\nf\r\n0\r\n\r\nHTTP/1.1 202 Accepted\r\n\r\n";
        let read = read_all(wire).await.unwrap();
        let bodies: Vec<&[u8]> = read.iter().map(|(_, body)| body.as_slice()).collect();
        assert_eq!(bodies, [b"abc".as_slice(), b"def", b""]);
        assert_eq!(read[2].0, "HTTP/1.1 202 Accepted");
    }

    #[tokio::test]
    async fn a_message_cut_short_is_an_error_and_not_an_end() {
        for cut in ["HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc"] {
            assert!(read_all(cut.as_bytes()).await.is_err(), "{cut}");
        }
    }
}
