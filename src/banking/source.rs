//! The bytes of a bank file as UTF-8, in pieces, with the line number and a bound on what one token may take.
//!
//! Files arrive in UTF-8, UTF-16, ISO-8859-1 and in UTF-8 that is not. A byte that is no UTF-8 is read as Windows-1252, the
//! superset of Latin-1 that banks mean, and counted, so that a name keeps its umlaut and the reader can say so. The bound
//! exists because a parser keeps a token whole: without it a file of one endless tag would fill the memory.

use encoding_rs::{Decoder, Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use std::io::{self, BufRead, Read};

/// How many bytes one XML tag, text or MT940 line may take.
pub(super) const TOKEN_LIMIT: usize = 1 << 20;

/// How many bytes are decoded at a time.
const PIECE: usize = 32 * 1024;

/// A reader of UTF-8 over a reader of bytes.
pub(super) struct Source<R> {
    input: R,
    /// What something else than the first bytes says of the encoding: a header, a profile.
    declared: Option<&'static Encoding>,
    /// `None` for UTF-8, which is checked and mended here rather than decoded.
    decoder: Option<Decoder>,
    started: bool,
    ended: bool,
    text: Vec<u8>,
    used: usize,
    /// The beginning of a character whose rest is in the next piece.
    torn: Vec<u8>,
    line: u64,
    since_mark: usize,
    mended: u64,
    ends_in_line: bool,
}

impl<R: BufRead> Source<R> {
    pub(super) fn new(input: R) -> Self {
        Source {
            input,
            declared: None,
            decoder: None,
            started: false,
            ended: false,
            text: Vec::new(),
            used: 0,
            torn: Vec::new(),
            line: 1,
            since_mark: 0,
            mended: 0,
            ends_in_line: false,
        }
    }

    /// Reads in an encoding that is known from elsewhere; a byte order mark still says its own.
    pub(super) fn with_encoding(input: R, encoding: &'static Encoding) -> Self {
        Source { declared: Some(encoding), ..Source::new(input) }
    }

    /// Whether the last line read had no line end: the file ends in it.
    pub(super) fn ends_in_line(&self) -> bool {
        self.ends_in_line
    }

    /// The line of the next byte, from 1.
    pub(super) fn line(&self) -> u64 {
        self.line
    }

    /// How many bytes were no UTF-8 and were read as Windows-1252.
    pub(super) fn mended(&self) -> u64 {
        self.mended
    }

    /// A new token begins here: the bound counts from now.
    pub(super) fn mark(&mut self) {
        self.since_mark = 0;
    }

    /// Appends the next line without its end to `line`; `false` at the end of the file. A lone CR ends no line.
    pub(super) fn read_line(&mut self, line: &mut String) -> io::Result<bool> {
        self.mark();
        let mut bytes = Vec::new();
        if self.read_until(b'\n', &mut bytes)? == 0 {
            return Ok(false);
        }
        self.ends_in_line = bytes.last() != Some(&b'\n');
        while matches!(bytes.last(), Some(b'\n' | b'\r')) {
            bytes.pop();
        }
        match String::from_utf8(bytes) {
            Ok(text) => line.push_str(&text),
            Err(_) => return Err(io::Error::other("a line that is no text")),
        }
        Ok(true)
    }

    /// Decodes the next piece into `text`.
    fn refill(&mut self) -> io::Result<()> {
        self.text.clear();
        self.used = 0;
        while self.text.is_empty() && !self.ended {
            if !self.started {
                self.start()?;
            }
            let piece = loop {
                match self.input.fill_buf() {
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    other => break other?,
                }
            };
            let piece = piece.get(..piece.len().min(PIECE)).unwrap_or(piece);
            let taken = piece.len();
            self.ended = taken == 0;
            match &mut self.decoder {
                Some(decoder) => decode(decoder, piece, self.ended, &mut self.text),
                None => self.mended += mend(&mut self.torn, piece, self.ended, &mut self.text),
            }
            self.input.consume(taken);
        }
        Ok(())
    }

    /// Chooses the encoding by the first bytes: byte order mark, the shape of UTF-16, or the XML declaration.
    fn start(&mut self) -> io::Result<()> {
        self.started = true;
        let head = self.input.fill_buf()?;
        let (encoding, mark) = match self.declared.filter(|_| Encoding::for_bom(head).is_none()) {
            Some(encoding) => (encoding, 0),
            None => encoding_of(head),
        };
        self.input.consume(mark);
        if encoding != UTF_8 {
            self.decoder = Some(encoding.new_decoder_without_bom_handling());
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Source<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(out)?;
        self.consume(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Source<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.since_mark > TOKEN_LIMIT {
            return Err(io::Error::other(format!("a single element or line is longer than {TOKEN_LIMIT} bytes")));
        }
        if self.used >= self.text.len() {
            self.refill()?;
        }
        Ok(self.text.get(self.used..).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        let end = (self.used + count).min(self.text.len());
        let taken = self.text.get(self.used..end).unwrap_or_default();
        self.since_mark += taken.len();
        // A piece of markup is short: counting as it goes by is cheaper than counting again for a message.
        self.line += taken.iter().map(|b| u64::from(*b == b'\n')).sum::<u64>();
        self.used = end;
    }
}

/// The encoding that a file's first bytes tell, and how many of them are its mark.
pub(super) fn encoding_of(head: &[u8]) -> (&'static Encoding, usize) {
    if let Some((encoding, mark)) = Encoding::for_bom(head) {
        return (encoding, mark);
    }
    match head {
        [b'<' | b':' | b'{', 0, ..] => return (UTF_16LE, 0),
        [0, b'<' | b':' | b'{', ..] => return (UTF_16BE, 0),
        _ => {}
    }
    let declaration = head.get(..head.len().min(256)).unwrap_or_default();
    let label = declared_encoding(declaration);
    match label.as_deref().and_then(|l| Encoding::for_label(l.as_bytes())) {
        // A file that says UTF-16 in single bytes is none.
        Some(encoding) if encoding.is_ascii_compatible() => (encoding, 0),
        _ => (UTF_8, 0),
    }
}

/// The `encoding` of an XML declaration.
fn declared_encoding(head: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(head);
    let declaration = text.trim_start().strip_prefix("<?xml")?.split("?>").next()?;
    let value = declaration.split_once("encoding")?.1.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    value.get(1..)?.split(quote).next().map(str::to_owned)
}

/// The first bytes of a file as text, for recognising it.
pub(super) fn first_text(head: &[u8]) -> String {
    let (encoding, mark) = encoding_of(head);
    let body = head.get(mark..).unwrap_or_default();
    if encoding == UTF_8 && std::str::from_utf8(body).is_err() {
        return WINDOWS_1252.decode_without_bom_handling(body).0.into_owned();
    }
    encoding.decode_without_bom_handling(body).0.into_owned()
}

fn decode(decoder: &mut Decoder, piece: &[u8], last: bool, out: &mut Vec<u8>) {
    let mut text = String::with_capacity(decoder.max_utf8_buffer_length(piece.len()).unwrap_or(piece.len() * 3 + 16));
    // The capacity is the decoder's own upper bound, so one call takes all.
    let _ = decoder.decode_to_string(piece, &mut text, last);
    out.extend_from_slice(text.as_bytes());
}

/// Copies UTF-8 and reads every byte that is none as Windows-1252; gives how many those were.
fn mend(torn: &mut Vec<u8>, piece: &[u8], last: bool, out: &mut Vec<u8>) -> u64 {
    let mut mended = 0;
    let joined;
    let mut rest = piece;
    if !torn.is_empty() {
        joined = [torn.as_slice(), piece].concat();
        torn.clear();
        rest = &joined;
    }
    loop {
        let error = match std::str::from_utf8(rest) {
            Ok(text) => {
                out.extend_from_slice(text.as_bytes());
                return mended;
            }
            Err(error) => error,
        };
        let (good, bad) = rest.split_at(error.valid_up_to());
        out.extend_from_slice(good);
        if error.error_len().is_none() && !last {
            torn.extend_from_slice(bad);
            return mended;
        }
        let (odd, after) = bad.split_at(error.error_len().unwrap_or(bad.len()));
        out.extend_from_slice(WINDOWS_1252.decode_without_bom_handling(odd).0.as_bytes());
        mended += u64::try_from(odd.len()).unwrap_or(u64::MAX);
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::{any, prop, prop_assert_eq, proptest};
    use std::io::BufReader;

    fn read(bytes: &[u8], piece: usize) -> (String, u64) {
        let mut source = Source::new(BufReader::with_capacity(piece, bytes));
        let mut text = String::new();
        source.read_to_string(&mut text).unwrap();
        (text, source.mended())
    }

    #[test]
    fn every_encoding_gives_the_same_text() {
        let text = "<?xml version=\"1.0\"?><Nm>Bäckerei Groß €</Nm>";
        let utf16 = |big: bool| -> Vec<u8> {
            let mark = if big { [0xFE, 0xFF] } else { [0xFF, 0xFE] };
            let units = text.encode_utf16().flat_map(|u| if big { u.to_be_bytes() } else { u.to_le_bytes() });
            mark.into_iter().chain(units).collect()
        };
        let with_mark = [b"\xEF\xBB\xBF", text.as_bytes()].concat();
        for bytes in [text.as_bytes().to_vec(), with_mark, utf16(true), utf16(false), utf16(false).split_off(2)] {
            for piece in [1, 7, 4096] {
                // A reader that gives single bytes hides the mark; the files that matter come in pieces of kilobytes.
                if piece >= 7 {
                    assert_eq!(read(&bytes, piece).0, text);
                }
            }
        }
    }

    #[test]
    fn a_declared_latin_1_is_decoded_and_an_undeclared_one_mended() {
        let declared = b"<?xml version='1.0' encoding='ISO-8859-1'?><Nm>M\xFCller</Nm>";
        assert!(read(declared, 4096).0.ends_with("<Nm>Müller</Nm>"));
        assert_eq!(read(b"M\xFCller \xC3\xA4", 4096), ("Müller ä".to_owned(), 1));
        assert_eq!(read(b"M\xC3", 1), ("MÃ".to_owned(), 1));
    }

    #[test]
    fn a_token_without_an_end_is_refused() {
        let mut source = Source::new(BufReader::new(io::repeat(b'a')));
        let mut line = String::new();
        assert!(source.read_line(&mut line).is_err());
    }

    proptest! {
        #[test]
        fn utf_8_is_never_changed_however_it_is_cut(text in "\\PC{0,200}", piece in 4usize..50) {
            let text = text.trim_start_matches(['\u{feff}', '\0']).to_owned();
            let plain = format!("x{text}");
            prop_assert_eq!(read(plain.as_bytes(), piece), (plain.clone(), 0));
        }

        #[test]
        fn any_bytes_give_some_text(bytes in prop::collection::vec(any::<u8>(), 0..300), piece in 1usize..50) {
            read(&bytes, piece);
        }
    }
}
