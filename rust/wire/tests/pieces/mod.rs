//! Cuts bodies into pieces, as they arrive from a socket.

/// Cuts a body into pieces of these sizes, repeating the sizes until its end.
pub(crate) fn cut<'a>(mut body: &'a [u8], sizes: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for size in sizes.iter().cycle() {
        if body.is_empty() {
            break;
        }
        let (piece, rest) = body.split_at((*size).min(body.len()));
        pieces.push(piece);
        body = rest;
    }
    pieces
}
