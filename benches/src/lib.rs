//! Inputs that the benches share.

/// One frame with an OpenAI chat chunk of about 300 bytes, as OpenAI writes it.
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

/// A body of `count` such frames that differ only in their tokens: the template shortcut decodes all but the first.
#[must_use]
pub fn openai_body(count: usize) -> Vec<u8> {
    openai_body_created(&[1757], count)
}

/// The same, but consecutive chunks also differ outside the token, so that each is parsed in full.
#[must_use]
pub fn openai_body_all_parsed(count: usize) -> Vec<u8> {
    openai_body_created(&[1757, 1758], count)
}

/// The same as [`openai_body`], with padding of varying length, as in OpenAI's own chunks.
#[must_use]
pub fn openai_body_padded(count: usize) -> Vec<u8> {
    let padding = "Wx0aQz81LmR";
    let padded = |(token, word): (usize, &&str)| {
        let end = format!("\"usage\":null,\"obfuscation\":\"{}\"}}", &padding[token % padding.len()..]);
        openai_frame(1757, word).replace("\"usage\":null}", &end).into_bytes()
    };
    WORDS.iter().cycle().take(count).enumerate().flat_map(padded).collect()
}

const WORDS: [&str; 10] = [" the", " water", " wheel", " turns", ",", " and", " its", " race", ".", " 42"];

fn openai_body_created(created: &[u32], count: usize) -> Vec<u8> {
    let frames = WORDS.iter().cycle().zip(created.iter().cycle());
    frames.take(count).flat_map(|(word, created)| openai_frame(*created, word).into_bytes()).collect()
}
