//! Makes TCP connections.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::TransportError;
use super::error::chain;
use super::socket::Socket;
use super::target::Origin;
use crate::end::FailureKind;

/// How long one address has before the next one is tried beside it: RFC 8305, section 5.
const NEXT_ADDRESS: Duration = Duration::from_millis(250);

/// How long a connection may be silent before the system asks whether the other side is there.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// How long after that it asks again.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// Connects to a host.
pub(super) async fn connect(origin: &Origin) -> Result<Socket, TransportError> {
    let addresses = resolve(&origin.bare_host(), origin.port).await?;
    let stream = race(alternating(addresses)).await;
    let stream = stream.map_err(|error| TransportError::new(FailureKind::Connect, chain(&error)))?;
    // A connection works without these.
    let _ = stream.set_nodelay(true);
    let keep_alive = TcpKeepalive::new().with_time(KEEP_ALIVE).with_interval(KEEP_ALIVE_INTERVAL);
    let _ = SockRef::from(&stream).set_tcp_keepalive(&keep_alive);
    Ok(Socket::new(stream))
}

/// The addresses of a host, at least one.
pub(super) async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, TransportError> {
    let failed =
        |why: String| TransportError::new(FailureKind::Dns, format!("no address for the host {host:?}{why}"));
    let found = lookup_host((host, port)).await.map_err(|error| failed(format!(": {error}")))?;
    let addresses: Vec<SocketAddr> = found.collect();
    if addresses.is_empty() { Err(failed(String::new())) } else { Ok(addresses) }
}

/// The addresses of both families in turns, beginning with the family that the system prefers.
fn alternating(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (preferred, other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let (mut preferred, mut other) = (preferred.into_iter(), other.into_iter());
    let mut ordered = Vec::new();
    loop {
        let pair = [preferred.next(), other.next()];
        if pair == [None, None] {
            return ordered;
        }
        ordered.extend(pair.into_iter().flatten());
    }
}

/// The first address that answers. Each has a head start over the next.
async fn race(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    if let [only] = *addresses {
        return TcpStream::connect(only).await;
    }
    let mut waiting = addresses.into_iter();
    let mut attempts = JoinSet::new();
    let mut first_error = None;
    loop {
        let is_last = waiting.len() <= 1;
        if let Some(address) = waiting.next() {
            attempts.spawn(TcpStream::connect(address));
        }
        tokio::select! {
            attempt = attempts.join_next() => match attempt {
                Some(Ok(Ok(stream))) => return Ok(stream),
                Some(Ok(Err(error))) => { first_error.get_or_insert(error); }
                Some(Err(_)) => {}
                None => return Err(first_error.unwrap_or_else(|| io::ErrorKind::AddrNotAvailable.into())),
            },
            () = sleep(NEXT_ADDRESS), if !is_last => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(written: &[&str]) -> Vec<SocketAddr> {
        written.iter().filter_map(|address| address.parse().ok()).collect()
    }

    #[test]
    fn families_take_turns() {
        let found = addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"]);
        let expected = addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]);
        assert_eq!(alternating(found), expected);
    }

    #[tokio::test]
    async fn an_address_that_refuses_leads_to_the_next_one() {
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = server.local_addr().unwrap();
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        assert_eq!(race(vec![closed, open]).await.unwrap().peer_addr().unwrap(), open);
        assert_eq!(race(vec![closed, closed]).await.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn an_address_that_does_not_answer_does_not_keep_the_others_waiting() {
        let server = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = server.local_addr().unwrap();
        // A backlog that is full: the system answers no more connections.
        let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        full.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
        full.listen(0).unwrap();
        let silent = full.local_addr().unwrap().as_socket().unwrap();
        let mut held = Vec::new();
        while let Ok(Ok(stream)) =
            tokio::time::timeout(Duration::from_millis(100), TcpStream::connect(silent)).await
        {
            held.push(stream);
        }
        assert_eq!(race(vec![silent, open]).await.unwrap().peer_addr().unwrap(), open);
    }
}
