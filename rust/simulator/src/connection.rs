//! One connection: reads a request, answers it, and repeats.

use std::sync::Arc;

use tokio::net::TcpStream;

use crate::exchange::{Next, answer};
use crate::http::{self, ReadError};
use crate::reply::Reply;
use crate::server::Server;
use crate::socket::Socket;

/// Serves a connection until either side closes it.
pub(crate) async fn serve(stream: TcpStream, server: Arc<Server>) {
    let connection = server.log.connect();
    let mut socket = Socket::new(stream);
    loop {
        let next = match http::read(&mut socket).await {
            Ok(request) => answer(&server, &mut socket, connection.number(), request).await,
            Err(ReadError::Refused { status, reason }) => refuse(&mut socket, status, &reason).await,
            Err(ReadError::Gone) => Next::Gone,
        };
        match next {
            Next::Reuse => {}
            Next::Close => return socket.close().await,
            Next::Reset => return socket.reset(),
            Next::Gone => return,
        }
    }
}

/// Answers with an error and closes: after a malformed request it is unknown where the next one starts.
async fn refuse(socket: &mut Socket, status: u16, reason: &str) -> Next {
    let reply = Reply::refusal(status, reason).with("connection", "close");
    match socket.write_all(&reply.wire().bytes).await {
        Ok(()) => Next::Close,
        Err(_) => Next::Gone,
    }
}
