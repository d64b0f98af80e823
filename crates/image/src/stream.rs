//! A layer as it is unpacked. A thread of its own reads, checks and decompresses it, so that files are made while
//! what follows is being decompressed.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use crate::digest::{Digest, Hasher, check};
use crate::error::{Error, Result, Said, of_io, to_io};
use crate::limits::Limits;
use crate::progress::Progress;

/// How many bytes are passed at once, and how many such chunks may wait: including the next layer, 4 MiB in all.
const CHUNK: usize = 256 << 10;
const WAITING: usize = 8;

/// The largest dictionary that a stream may ask for: 128 MiB, the default of the programs zstd and xz.
const WINDOW_LOG: u32 = 27;
const XZ_MEMORY: u64 = 160 << 20;

/// The beginnings of compressed streams.
const GZIP: &[u8] = &[0x1f, 0x8b];
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const XZ: &[u8] = &[0xfd, b'7', b'z', b'X', b'Z', 0];
const BZIP2: &[u8] = b"BZh";

/// Whether a stream that begins like this is compressed, also by what cannot be decompressed here.
pub(crate) fn is_compressed(begin: &[u8]) -> bool {
    is_zstd(begin) || [GZIP, XZ, BZIP2].iter().any(|magic| begin.starts_with(magic))
}

/// Whether it begins with a frame of zstd, RFC 8878 section 3.1: one with data, or one to be skipped, which some
/// programs put first.
fn is_zstd(begin: &[u8]) -> bool {
    begin.starts_with(ZSTD) || matches!(begin, [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..])
}

/// Decompresses a stream of any supported format.
pub(crate) fn decompressed<'a>(source: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
    let mut source = BufReader::with_capacity(64 << 10, source);
    let begin = source.fill_buf()?;
    if begin.starts_with(GZIP) {
        return Ok(Box::new(flate2::bufread::MultiGzDecoder::new(source)));
    }
    if is_zstd(begin) {
        let mut decoder = zstd::stream::read::Decoder::with_buffer(source)?;
        decoder.window_log_max(WINDOW_LOG)?;
        return Ok(Box::new(decoder));
    }
    if begin.starts_with(XZ) {
        let stream = liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED)
            .map_err(io::Error::other)?;
        return Ok(Box::new(liblzma::bufread::XzDecoder::new_stream(source, stream)));
    }
    if begin.starts_with(BZIP2) {
        return Err(to_io(Error::invalid("is compressed by bzip2: compress it by gzip, zstd or xz")));
    }
    Ok(Box::new(source))
}

/// Counts the bytes that are read.
struct Counted<R> {
    source: R,
    seen: Arc<AtomicU64>,
    progress: Option<Arc<Progress>>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.source.read(buffer)?;
        self.seen.fetch_add(length as u64, Relaxed);
        if let Some(progress) = &self.progress {
            progress.add(length as u64);
        }
        Ok(length)
    }
}

/// A layer, and what is known about it.
pub(crate) struct Source {
    /// The compressed data, which is verified at its end.
    pub(crate) blob: Box<dyn Read + Send>,
    /// The digest of the decompressed data.
    pub(crate) diff_id: Option<Digest>,
}

/// The limits of an image, which apply to all its layers together.
#[derive(Clone, Debug)]
pub(crate) struct Bounds {
    limits: Limits,
    /// The bytes of all layers so far.
    all: Arc<AtomicU64>,
}

impl Bounds {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { limits, all: Arc::default() }
    }
}

/// A layer that is being decompressed. It reads as the layer's tar archive; if it is read to the end, all of it has
/// been verified.
pub(crate) struct Stream {
    chunks: Option<Receiver<io::Result<Vec<u8>>>>,
    empty: SyncSender<Vec<u8>>,
    current: Vec<u8>,
    at: usize,
    ended: bool,
    thread: Option<JoinHandle<()>>,
}

impl Stream {
    /// Starts to decompress.
    pub(crate) fn start(source: Source, bounds: Bounds, progress: Option<Arc<Progress>>) -> Result<Self> {
        let (to, chunks) = sync_channel(WAITING);
        let (empty, used) = sync_channel(WAITING + 2);
        let work = move || {
            if let Err(error) = decompress(source, &bounds, progress, &to, &used) {
                // If this fails, nobody reads any more.
                let _ = to.send(Err(to_io(of_io(error))));
            }
        };
        let thread = std::thread::Builder::new().spawn(work).said(|| "thread")?;
        Ok(Self {
            chunks: Some(chunks),
            empty,
            current: Vec::new(),
            at: 0,
            ended: false,
            thread: Some(thread),
        })
    }

    /// Reads the rest, so that everything is verified.
    pub(crate) fn finish(mut self) -> Result<()> {
        let mut buffer = vec![0; 64 << 10];
        while self.read(&mut buffer).map_err(of_io)? > 0 {}
        Ok(())
    }
}

fn decompress(
    source: Source,
    bounds: &Bounds,
    progress: Option<Arc<Progress>>,
    to: &SyncSender<io::Result<Vec<u8>>>,
    used: &Receiver<Vec<u8>>,
) -> io::Result<()> {
    let compressed = Arc::new(AtomicU64::new(0));
    let mut counted = Counted { source: source.blob, seen: Arc::clone(&compressed), progress };
    let mut hasher = source.diff_id.as_ref().map(Hasher::like);
    let mut size = 0;
    let mut inner = decompressed(&mut counted)?;
    loop {
        let mut chunk = used.try_recv().unwrap_or_default();
        chunk.resize(CHUNK, 0);
        let length = fill(&mut inner, &mut chunk).map_err(damaged)?;
        if length == 0 {
            break;
        }
        chunk.truncate(length);
        size += length as u64;
        let all = bounds.all.fetch_add(length as u64, Relaxed) + length as u64;
        bounds.limits.bytes(all, size, compressed.load(Relaxed)).map_err(to_io)?;
        if let Some(hasher) = &mut hasher {
            hasher.update(&chunk);
        }
        if to.send(Ok(chunk)).is_err() {
            return Ok(());
        }
    }
    drop(inner);
    // What follows the compressed stream is part of the blob as well.
    io::copy(&mut counted, &mut io::sink())?;
    if let (Some(wanted), Some(hasher)) = (&source.diff_id, hasher) {
        check(wanted, &hasher.finish()).map_err(|error| to_io(error.wrap("unpacked")))?;
    }
    let _ = to.send(Ok(Vec::new()));
    Ok(())
}

/// Says what can be done about an error of a decompressor; those of the system and of ours say it themselves.
pub(crate) fn damaged(error: io::Error) -> io::Error {
    if error.raw_os_error().is_some()
        || error.get_ref().is_some_and(|inner| inner.downcast_ref::<Error>().is_some())
    {
        return error;
    }
    to_io(Error::invalid(format!("{error}: it is cut off or damaged; get it again")))
}

fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match source.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(more) => length += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.current.len() && !self.ended {
            let _ = self.empty.try_send(std::mem::take(&mut self.current));
            let next = self.chunks.as_ref().map(Receiver::recv);
            self.current = next.transpose().ok().flatten().unwrap_or_else(|| {
                Err(to_io(Error::system(
                    "the thread that decompresses a layer has ended without an error message",
                )))
            })?;
            self.at = 0;
            self.ended = self.current.is_empty();
        }
        let length = buffer.len().min(self.current.len() - self.at);
        buffer[..length].copy_from_slice(&self.current[self.at..self.at + length]);
        self.at += length;
        Ok(length)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // Without a receiver the thread ends at its next chunk.
        self.chunks = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
