//! What a server can do wrong in HTTP/1.1.

/// The bytes are not a whole HTTP/1.1 response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Http1Error {
    /// The head is not HTTP.
    #[error("the server's answer is not HTTP/1.1: {0}")]
    Head(&'static str),
    /// The head is longer than the limit, in bytes.
    #[error("the response's head is longer than {0} bytes")]
    HeadTooLarge(usize),
    /// More headers than the limit.
    #[error("the response has more than {0} headers")]
    TooManyHeaders(usize),
    /// `Content-Length` is not a number, or there are several that differ.
    #[error("the response's Content-Length is not one number")]
    ContentLength,
    /// HTTP/1.0 knows no `Transfer-Encoding`.
    #[error("the response is HTTP/1.0 and has a Transfer-Encoding")]
    TransferEncoding,
    /// 101: nobody asked for another protocol.
    #[error("the server switched to another protocol, which nobody asked for")]
    Upgrade,
    /// The line with a chunk's size is wrong.
    #[error("a chunk of the body has an invalid size line")]
    ChunkSize,
    /// A chunk is longer or shorter than its size says.
    #[error("a chunk of the body does not end where its size says")]
    ChunkEnd,
    /// The lines after the last chunk are wrong.
    #[error("the trailers after the body are invalid")]
    Trailers,
    /// More bytes of chunk extensions or trailers than the limit.
    #[error("the body has more than {0} bytes of chunk extensions or trailers")]
    ExtrasTooLarge(usize),
    /// The connection was closed before the head was whole.
    #[error("the server closed the connection without an answer")]
    NoHead,
    /// The connection was closed before the body was whole.
    #[error("the server closed the connection in the middle of the response's body")]
    Cut,
}
