//! The markup of OFX: SGML with leaves that nobody closes, and XML. One token after another, no tree.
//!
//! A leaf's value is the text behind its tag up to the next tag, so a closing tag is not needed and nesting costs nothing.
//! Document types and entity declarations are refused: OFX has none, and they are how a small file becomes a large one.

use crate::banking::source::Source;
use std::io::{BufRead, Result};

/// How much of a text is kept.
const TEXT_LIMIT: usize = 64 * 1024;

/// What comes next in a file.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// `<NAME>` in capitals, without attributes.
    Open(String),
    /// `</NAME>`.
    Close(String),
    /// Text that is not only blanks: entities resolved, control characters become blanks.
    Text(String),
    /// `<?OFX ...?>` and the like.
    Instruction(String),
    /// `<!DOCTYPE`, `<!ENTITY`.
    Declaration,
    /// The file ends inside of a tag.
    Torn,
    /// The end of the file.
    End,
}

/// The next token and the line where it begins.
pub(super) fn next<R: BufRead>(source: &mut Source<R>) -> Result<(u64, Token)> {
    loop {
        source.mark();
        let line = source.line();
        let Some(first) = source.fill_buf()?.first().copied() else { return Ok((line, Token::End)) };
        if first == b'<' {
            source.consume(1);
            let token = match source.fill_buf()?.first().copied() {
                Some(b'!') => comment_or_data(source)?,
                Some(b'?' | b'/' | b'A'..=b'Z' | b'a'..=b'z') => Some(tag(source)?),
                None => Some(Token::Torn),
                // A lone bracket is text.
                Some(_) => Some(text(source, "<")?),
            };
            match token {
                Some(token) => return Ok((line, token)),
                None => continue,
            }
        }
        let token = text(source, "")?;
        if !matches!(&token, Token::Text(text) if text.trim().is_empty()) {
            // Blank lines before a text are not where it stands.
            return Ok((line, token));
        }
    }
}

fn text<R: BufRead>(source: &mut Source<R>, before: &str) -> Result<Token> {
    let mut bytes = before.as_bytes().to_vec();
    loop {
        let piece = source.fill_buf()?;
        if piece.is_empty() {
            break;
        }
        let end = piece.iter().position(|b| *b == b'<');
        let taken = piece.get(..end.unwrap_or(piece.len())).unwrap_or_default();
        bytes.extend_from_slice(taken);
        let count = taken.len();
        source.consume(count);
        if end.is_some() {
            break;
        }
    }
    Ok(Token::Text(plain(&String::from_utf8_lossy(&bytes), true)))
}

/// A tag or an instruction behind its bracket.
fn tag<R: BufRead>(source: &mut Source<R>) -> Result<Token> {
    let mut bytes = Vec::new();
    source.read_until(b'>', &mut bytes)?;
    if bytes.pop() != Some(b'>') {
        return Ok(Token::Torn);
    }
    let text = String::from_utf8_lossy(&bytes);
    if let Some(inside) = text.strip_prefix('?') {
        return Ok(Token::Instruction(inside.trim_end_matches('?').to_owned()));
    }
    let closing = text.strip_prefix('/');
    let name = closing.unwrap_or(&text).split([' ', '\t', '\r', '\n', '/']).next().unwrap_or_default();
    let name = name.rsplit(':').next().unwrap_or_default().to_ascii_uppercase();
    Ok(if closing.is_some() { Token::Close(name) } else { Token::Open(name) })
}

/// Behind `<!`: a comment is passed over, marked text is text, anything else is refused.
fn comment_or_data<R: BufRead>(source: &mut Source<R>) -> Result<Option<Token>> {
    let mut bytes = Vec::new();
    loop {
        let before = bytes.len();
        source.read_until(b'>', &mut bytes)?;
        if bytes.len() == before {
            return Ok(Some(Token::Torn));
        }
        if bytes.starts_with(b"!--") {
            if bytes.ends_with(b"-->") && bytes.len() >= 6 {
                return Ok(None);
            }
        } else if let Some(data) = bytes.strip_prefix(b"![CDATA[") {
            if let Some(data) = data.strip_suffix(b"]]>") {
                return Ok(Some(Token::Text(plain(&String::from_utf8_lossy(data), false))));
            }
        } else {
            return Ok(Some(Token::Declaration));
        }
    }
}

/// A text as it is kept.
fn plain(text: &str, entities: bool) -> String {
    let text = match text.char_indices().nth(TEXT_LIMIT) {
        Some((at, _)) => text.get(..at).unwrap_or(text),
        None => text,
    };
    let text = if entities { resolved(text) } else { text.to_owned() };
    if text.contains(char::is_control) { text.replace(char::is_control, " ") } else { text }
}

/// The five entities of XML, the blank of SGML, and numbers; what is none stays as it is.
fn resolved(text: &str) -> String {
    let mut rest = text;
    let mut out = String::with_capacity(text.len());
    while let Some((before, behind)) = rest.split_once('&') {
        out.push_str(before);
        let found = behind.char_indices().take(10).find(|(_, c)| *c == ';');
        let letter = found.and_then(|(at, _)| Some((at, entity(behind.get(..at)?)?)));
        match letter {
            Some((at, letter)) => {
                out.push(letter);
                rest = behind.get(at + 1..).unwrap_or_default();
            }
            None => {
                out.push('&');
                rest = behind;
            }
        }
    }
    out.push_str(rest);
    out
}

fn entity(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        "nbsp" => ' ',
        _ => {
            let number = name.strip_prefix('#')?;
            let hexadecimal = number.strip_prefix(['x', 'X']);
            let code = match hexadecimal {
                Some(digits) => u32::from_str_radix(digits, 16).ok()?,
                None => number.parse().ok()?,
            };
            char::from_u32(code)?
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<Token> {
        let mut source = Source::new(text.as_bytes());
        let mut found = Vec::new();
        loop {
            match next(&mut source).unwrap().1 {
                Token::End => return found,
                Token::Torn => {
                    found.push(Token::Torn);
                    return found;
                }
                token => found.push(token),
            }
        }
    }

    #[test]
    fn leaves_need_no_end_and_a_bracket_may_be_text() {
        let open = |name: &str| Token::Open(name.to_owned());
        let text = |text: &str| Token::Text(text.to_owned());
        assert_eq!(
            tokens("<Name>A &amp; B < C&D\n<MEMO x='1'>\n<o:x/></Name ><!-- <Z> --><![CDATA[a<b&amp;]]>"),
            [
                open("NAME"),
                text("A & B "),
                text("< C&D "),
                open("MEMO"),
                open("X"),
                Token::Close("NAME".to_owned()),
                text("a<b&amp;"),
            ]
        );
        assert_eq!(tokens("<!DOCTYPE x>"), [Token::Declaration]);
        assert_eq!(tokens("a<b"), [text("a"), Token::Torn]);
        assert_eq!(tokens("&#65;&#x42;&#0;&zz;&"), [text("AB &zz;&")]);
    }
}
