//! The bytes of a file: from disk or standard input, decompressed by what they are (not by their
//! name), hashed as they were given, and kept from growing without end.

use std::error::Error;
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use flate2::bufread::MultiGzDecoder;
use ruzstd::decoding::{FrameDecoder, StreamingDecoder};
use sha2::{Digest, Sha256};

/// The most that comes out of a compressed file: 64 GiB.
const MOST_OUT: u64 = 64 << 30;
/// How many times its size a compressed file may be, once it is past [`FREE`].
const MOST_RATIO: u64 = 500;
/// Up to here any ratio is taken: 64 MiB.
const FREE: u64 = 64 << 20;
/// The largest window of a zstd frame: what `zstd --ultra` makes without `--long`.
const ZSTD_WINDOW: u64 = 128 << 20;

/// A compressed file that grows out of all proportion.
#[derive(Debug)]
pub(super) struct Bomb;

impl fmt::Display for Bomb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it decompresses to more than {MOST_RATIO} times its size")
    }
}

impl Error for Bomb {}

/// SHA-256 and length of what was read, shared with whoever asks at the end.
#[derive(Debug, Clone, Default)]
pub(super) struct Digested(Arc<Mutex<(Sha256, u64)>>);

impl Digested {
    fn add(&self, bytes: &[u8]) {
        let mut inner = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        inner.0.update(bytes);
        inner.1 += bytes.len() as u64;
    }

    fn length(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1
    }

    /// In hex.
    pub(super) fn sha256(&self) -> String {
        hex::encode(self.0.lock().unwrap_or_else(PoisonError::into_inner).0.clone().finalize())
    }
}

struct Hashing<R> {
    input: R,
    digested: Digested,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(into)?;
        self.digested.add(into.get(..read).unwrap_or_default());
        Ok(read)
    }
}

struct Capped<R> {
    input: R,
    out: u64,
    digested: Digested,
}

impl<R: Read> Read for Capped<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(into)?;
        self.out += read as u64;
        let most = self.digested.length().saturating_mul(MOST_RATIO).clamp(FREE, MOST_OUT);
        if self.out > most { Err(io::Error::other(Bomb)) } else { Ok(read) }
    }
}

/// All frames of a zstd file, one after the other.
struct Zstd<R: Read>(Option<StreamingDecoder<BufReader<R>, FrameDecoder>>);

impl<R: Read> Zstd<R> {
    fn frame(input: BufReader<R>) -> io::Result<StreamingDecoder<BufReader<R>, FrameDecoder>> {
        StreamingDecoder::new_with_max_window_size(input, ZSTD_WINDOW).map_err(io::Error::other)
    }
}

impl<R: Read> Read for Zstd<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        use std::io::BufRead as _;
        while let Some(decoder) = &mut self.0 {
            let read = decoder.read(into)?;
            if read > 0 || into.is_empty() {
                return Ok(read);
            }
            let Some(mut input) = self.0.take().map(StreamingDecoder::into_inner) else { break };
            if !input.fill_buf()?.is_empty() {
                self.0 = Some(Self::frame(input)?);
            }
        }
        Ok(0)
    }
}

/// A file that somebody writes to while it is read.
#[derive(Debug)]
pub(super) struct Changed;

impl fmt::Display for Changed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("somebody wrote to the file while it was read")
    }
}

impl Error for Changed {}

/// A file, whose end is an error if it is not what it was at first: what was read may be the half of
/// what is on its way.
struct Still {
    file: File,
    length: u64,
    written: Option<SystemTime>,
}

impl Still {
    fn new(file: File) -> io::Result<Self> {
        let meta = file.metadata()?;
        Ok(Self { length: meta.len(), written: meta.modified().ok(), file })
    }
}

impl Read for Still {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(into)?;
        if read == 0 && !into.is_empty() {
            let meta = self.file.metadata()?;
            let same = meta.len() == self.length && meta.modified().ok() == self.written;
            if meta.is_file() && !same {
                return Err(io::Error::other(Changed));
            }
        }
        Ok(read)
    }
}

/// A path that is there and names no file.
#[derive(Debug)]
pub(super) struct NotAFile(&'static str);

impl fmt::Display for NotAFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "this is {}, expected a file", self.0)
    }
}

impl Error for NotAFile {}

/// Opens a file, or standard input for `-`.
pub(super) fn open(path: &Path) -> io::Result<(Box<dyn Read + Send>, Digested)> {
    if path.as_os_str() == "-" {
        return decoded(Box::new(io::stdin()));
    }
    if let Some(what) = other_than_a_file(path)? {
        return Err(io::Error::other(NotAFile(what)));
    }
    decoded(Box::new(Still::new(File::open(path)?)?))
}

/// What stands at a path that cannot be read as a file: opening a named pipe would wait for
/// whoever writes to it, and a device may never end. What a shell hands over as `/dev/fd/63` is a
/// pipe as well, and somebody writes to it.
fn other_than_a_file(path: &Path) -> io::Result<Option<&'static str>> {
    let kind = std::fs::metadata(path)?.file_type();
    let handed_over = ["/dev/fd", "/dev/stdin", "/proc/self/fd"];
    Ok(if kind.is_dir() {
        Some("a folder")
    } else if kind.is_file() || handed_over.iter().any(|place| path.starts_with(place)) {
        None
    } else if kind.is_fifo() {
        Some("a named pipe")
    } else {
        Some("a device or a socket")
    })
}

fn decoded(raw: Box<dyn Read + Send>) -> io::Result<(Box<dyn Read + Send>, Digested)> {
    let digested = Digested::default();
    let mut hashing = Hashing { input: raw, digested: digested.clone() };
    let mut start = Vec::with_capacity(4);
    hashing.by_ref().take(4).read_to_end(&mut start)?;
    let whole = io::Cursor::new(start.clone()).chain(hashing);
    let input = BufReader::with_capacity(1 << 16, whole);
    let decoded: Box<dyn Read + Send> = match start.as_slice() {
        [0x1f, 0x8b, ..] => Box::new(Capped {
            input: MultiGzDecoder::new(input),
            out: 0,
            digested: digested.clone(),
        }),
        [0x28, 0xb5, 0x2f, 0xfd] => Box::new(Capped {
            input: Zstd(Some(Zstd::frame(input)?)),
            out: 0,
            digested: digested.clone(),
        }),
        _ => Box::new(input),
    };
    Ok((decoded, digested))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).expect("into memory");
        encoder.finish().expect("into memory")
    }

    fn zst(bytes: &[u8]) -> Vec<u8> {
        use ruzstd::encoding::{CompressionLevel, compress_to_vec};
        compress_to_vec(bytes, CompressionLevel::Fastest)
    }

    fn read(bytes: Vec<u8>) -> (io::Result<Vec<u8>>, Digested) {
        let (mut input, digested) = decoded(Box::new(io::Cursor::new(bytes))).expect("opens");
        let mut out = Vec::new();
        (input.read_to_end(&mut out).map(|_| out), digested)
    }

    #[test]
    fn a_file_that_grows_while_it_is_read_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("f.csv");
        std::fs::write(&path, "reference,name\nA,Ada\n").expect("written");
        let (mut whole, _) = open(&path).expect("opens");
        let mut text = String::new();
        whole.read_to_string(&mut text).expect("nobody writes");
        let (mut input, _) = open(&path).expect("opens");
        let mut first = [0; 4];
        input.read_exact(&mut first).expect("it begins");
        let mut more = File::options().append(true).open(&path).expect("opens");
        more.write_all(b"B,Bob\n").expect("written");
        let error = input.read_to_string(&mut text).expect_err("it is another file now");
        assert!(matches!(error.get_ref(), Some(inner) if inner.is::<Changed>()), "{error}");
    }

    #[test]
    fn what_is_compressed_is_read_in_all_its_parts() {
        let whole = b"one,two\n".to_vec();
        assert_eq!(read(whole.clone()).0.expect("plain"), whole);
        for packed in [gz as fn(&[u8]) -> Vec<u8>, zst] {
            let two = [packed(b"one,"), packed(b"two\n")].concat();
            assert_eq!(read(two).0.expect("two parts"), whole);
        }
    }

    #[test]
    fn the_hash_is_of_the_bytes_that_were_given() {
        let packed = gz(b"one,two\n");
        let (_, digested) = read(packed.clone());
        assert_eq!(digested.sha256(), hex::encode(Sha256::digest(&packed)));
    }

    #[test]
    fn a_cut_or_broken_archive_is_an_error() {
        for packed in [gz(&[b'x'; 5000]), zst(&[b'x'; 5000])] {
            assert!(read(packed[..packed.len() - 3].to_vec()).0.is_err());
        }
    }

    #[test]
    fn a_bomb_is_told_from_a_file() {
        let bomb = gz(&vec![b'x'; usize::try_from(FREE).expect("fits") + 10]);
        let error = read(bomb).0.expect_err("too much");
        assert!(matches!(error.get_ref(), Some(inner) if inner.is::<Bomb>()), "{error}");
    }
}
