//! Inputs that several benches share.

/// One OpenAI chat chunk of about 300 bytes, as OpenAI writes it, with its frame.
#[must_use]
pub fn openai_frame(created: u32, token: &str) -> String {
    format!(
        concat!(
            r#"data: {{"id":"chatcmpl-CHGO2tEI6sbkSbDgcRkE5p3HfRnbP","object":"chat.completion.chunk","created":{},"#,
            r#""model":"gpt-4o-mini-2024-07-18","service_tier":"default","system_fingerprint":"fp_560af6e559","#,
            r#""choices":[{{"index":0,"delta":{{"content":"{}"}},"logprobs":null,"finish_reason":null}}],"usage":null}}"#,
            "\n\n",
        ),
        created, token
    )
}

/// A body of `count` such frames whose tokens differ, and nothing else: a shortcut takes all but the first.
#[must_use]
pub fn openai_body(count: usize) -> Vec<u8> {
    openai_body_created(&[1757], count)
}

/// The same, but no chunk has the bytes of the one before it around its token: each is parsed in full.
#[must_use]
pub fn openai_body_all_parsed(count: usize) -> Vec<u8> {
    openai_body_created(&[1757, 1758], count)
}

fn openai_body_created(created: &[u32], count: usize) -> Vec<u8> {
    let words = [" the", " water", " wheel", " turns", ",", " and", " its", " race", ".", " 42"];
    let frames = words.iter().cycle().zip(created.iter().cycle());
    frames.take(count).flat_map(|(word, created)| openai_frame(*created, word).into_bytes()).collect()
}
