//! A loopback shim that puts a token on requests and changes nothing else, for peers that cannot carry one.
//!
//! `Host`, `Origin`, bodies and streams pass as they are; each request has an upstream connection of its own, which closes
//! when the client leaves. The gateway has no way around its door for tests: this is the way.

use std::{convert::Infallible, net::SocketAddr, path::PathBuf, sync::Arc};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{Either, Full};
use hyper::{body::Incoming, client::conn, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

/// What stands behind the shim, and where its token is.
#[derive(Debug)]
pub struct Shim {
    /// The gateway's listener.
    pub upstream: SocketAddr,
    /// Read anew for each request, so that a token can be replaced while the shim runs.
    pub token_file: PathBuf,
}

type Answer = Response<Either<Incoming, Full<Bytes>>>;

/// Passes requests until the future is dropped.
///
/// # Errors
/// The listener broke. A connection that breaks ends alone.
pub async fn serve(listener: TcpListener, shim: Shim) -> Result<()> {
    let shim = Arc::new(shim);
    loop {
        let (stream, _) = listener.accept().await.context("accept")?;
        stream.set_nodelay(true)?;
        let shim = Arc::clone(&shim);
        let service = service_fn(move |request| {
            let shim = Arc::clone(&shim);
            async move { Ok::<_, Infallible>(shim.answer(request).await) }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

impl Shim {
    async fn answer(&self, request: Request<Incoming>) -> Answer {
        match self.pass(request).await {
            Ok(response) => response.map(Either::Left),
            Err(error) => {
                let body = Full::new(Bytes::from(format!("shim: {error:#}\n")));
                let mut response = Response::new(Either::Right(body));
                *response.status_mut() = StatusCode::BAD_GATEWAY;
                response
            }
        }
    }

    #[expect(clippy::disallowed_methods, reason = "a development program in front of the gateway is not its egress")]
    async fn pass(&self, mut request: Request<Incoming>) -> Result<Response<Incoming>> {
        let token = tokio::fs::read_to_string(&self.token_file).await.context("read the token file")?;
        let value = HeaderValue::from_str(&format!("Bearer {}", token.trim())).context("the token")?;
        if !request.headers().contains_key(header::AUTHORIZATION) {
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        let stream =
            TcpStream::connect(self.upstream).await.with_context(|| format!("connect to {}", self.upstream))?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) =
            conn::http1::Builder::new().preserve_header_case(true).handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(sender.send_request(request).await?)
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::wire;

    struct Pair {
        client: TcpStream,
        gateway: TcpListener,
        token_file: PathBuf,
    }

    #[expect(clippy::disallowed_methods, reason = "the test is the client")]
    async fn pair(name: &str) -> Pair {
        let gateway = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let token_file = std::env::temp_dir().join(format!("ambit-shim-{}-{name}", std::process::id()));
        std::fs::write(&token_file, "secret-1\n").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shim = Shim { upstream: gateway.local_addr().unwrap(), token_file: token_file.clone() };
        tokio::spawn(serve(listener, shim));
        Pair { client: TcpStream::connect(address).await.unwrap(), gateway, token_file }
    }

    #[tokio::test]
    async fn the_token_is_added_and_host_origin_and_path_pass() {
        let mut pair = pair("added").await;
        let request = "POST /mcp?x=1 HTTP/1.1\r\nhost: evil.example\r\norigin: http://evil.example\r\ncontent-length: 2\r\n\r\n{}";
        pair.client.write_all(request.as_bytes()).await.unwrap();
        let (mut stream, _) = pair.gateway.accept().await.unwrap();
        let received = wire::read_message(&mut stream, &mut BytesMut::new()).await.unwrap().unwrap();
        assert_eq!(received.start_line(), "POST /mcp?x=1 HTTP/1.1");
        assert_eq!(received.header("host"), Some("evil.example"));
        assert_eq!(received.header("origin"), Some("http://evil.example"));
        assert_eq!(received.header("authorization"), Some("Bearer secret-1"));
        assert_eq!(&received.body[..], b"{}");
        std::fs::remove_file(pair.token_file).unwrap();
    }

    #[tokio::test]
    async fn a_stream_passes_piece_by_piece_and_the_clients_leaving_is_seen() {
        let mut pair = pair("stream").await;
        pair.client.write_all(b"GET /s HTTP/1.1\r\nhost: x\r\nauthorization: Bearer own\r\n\r\n").await.unwrap();
        let (mut stream, _) = pair.gateway.accept().await.unwrap();
        let received = wire::read_message(&mut stream, &mut BytesMut::new()).await.unwrap().unwrap();
        assert_eq!(received.header("authorization"), Some("Bearer own"), "a client's own token stays");
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n").await.unwrap();
        let mut read = String::new();
        while !read.contains("first") {
            let mut piece = [0_u8; 256];
            let count = pair.client.read(&mut piece).await.unwrap();
            read.push_str(std::str::from_utf8(&piece[..count]).unwrap());
        }
        drop(pair.client);
        assert_eq!(stream.read(&mut [0_u8; 16]).await.unwrap(), 0, "the upstream connection closes with the client's");
        std::fs::remove_file(pair.token_file).unwrap();
    }
}
