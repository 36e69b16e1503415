//! Compressed files, uncompressed while they are read; which are, their first bytes tell.

use std::io::{Cursor, Error, ErrorKind, Read, Result};

use flate2::read::MultiGzDecoder;
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};

/// Something that is read.
pub(crate) type BoxRead<'a> = Box<dyn Read + 'a>;

const GZIP: &[u8] = b"\x1F\x8B";
const ZSTD: &[u8] = b"\x28\xB5\x2F\xFD";

/// Whether a file that begins with these bytes is compressed in a way that is known here.
pub(crate) fn is_compressed(head: &[u8]) -> bool {
    head.starts_with(GZIP) || head.starts_with(ZSTD)
}

/// The content, uncompressed: its first bytes, `most` at most, and all of it, they included.
///
/// # Errors
/// If it cannot be read, or is damaged.
pub(crate) fn begin(mut input: BoxRead<'_>, most: usize) -> Result<(Vec<u8>, BoxRead<'_>)> {
    let mut first = Vec::new();
    input.by_ref().take(most as u64).read_to_end(&mut first)?;
    if !is_compressed(&first) {
        return Ok((first.clone(), Box::new(Cursor::new(first).chain(input))));
    }
    let gzip = first.starts_with(GZIP);
    let all = Cursor::new(first).chain(input);
    let mut content: BoxRead<'_> =
        if gzip { Box::new(Named(MultiGzDecoder::new(all), "gzip")) } else { Box::new(Frames::new(all)) };
    let mut head = Vec::new();
    content.by_ref().take(most as u64).read_to_end(&mut head)?;
    Ok((head.clone(), Box::new(Cursor::new(head).chain(content))))
}

/// Says in its errors what is damaged.
struct Named<R>(R, &'static str);

impl<R: Read> Read for Named<R> {
    fn read(&mut self, out: &mut [u8]) -> Result<usize> {
        self.0.read(out).map_err(|error| damaged(self.1, &error))
    }
}

fn damaged(what: &str, error: &dyn std::fmt::Display) -> Error {
    let problem = format!("the {what} compression is damaged or cut off ({error}); copy or compress the file again");
    Error::new(ErrorKind::InvalidData, problem)
}

/// Zstandard, of which one frame may follow another.
struct Frames<'a> {
    /// The frame that is being read.
    frame: Option<StreamingDecoder<BoxRead<'a>, FrameDecoder>>,
    /// What follows it, while no frame is being read.
    input: Option<BoxRead<'a>>,
}

impl<'a> Frames<'a> {
    fn new(input: impl Read + 'a) -> Frames<'a> {
        Frames { frame: None, input: Some(Box::new(input)) }
    }
}

impl Read for Frames<'_> {
    fn read(&mut self, out: &mut [u8]) -> Result<usize> {
        loop {
            if let Some(frame) = &mut self.frame {
                let read = frame.read(out).map_err(|error| damaged("zstd", &error))?;
                if read > 0 || out.is_empty() {
                    return Ok(read);
                }
                self.input = self.frame.take().map(StreamingDecoder::into_inner);
            }
            let Some(mut input) = self.input.take() else { return Ok(0) };
            let mut first = Vec::new();
            input.by_ref().take(1).read_to_end(&mut first)?;
            if first.is_empty() {
                return Ok(0);
            }
            let input: BoxRead<'_> = Box::new(Cursor::new(first).chain(input));
            self.frame = Some(StreamingDecoder::new(input).map_err(|error| damaged("zstd", &error))?);
        }
    }
}
