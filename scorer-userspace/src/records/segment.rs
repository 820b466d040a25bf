//! Segments: Arrow IPC streams that are appended to, and read while they grow.

use std::{
    fs::File,
    io::{self, BufReader, Read, Seek as _, SeekFrom, Write as _},
    os::unix::fs::FileExt as _,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{
    array::RecordBatch,
    datatypes::SchemaRef,
    error::ArrowError,
    ipc::{
        CompressionType, FieldNode, Message, MetadataVersion,
        reader::StreamReader,
        root_as_message,
        writer::{IpcWriteOptions, StreamWriter},
    },
};

use super::RecordsError;
use crate::private;

/// A segment being written.
pub(super) struct Segment {
    pub(super) id: u64,
    pub(super) path: PathBuf,
    file: Arc<File>,
    encoder: StreamWriter<Vec<u8>>,
    /// Bytes of whole messages.
    length: u64,
    pub(super) rows: usize,
}

impl Segment {
    /// Makes one; a file of that name must not be there.
    pub(super) fn create(path: &Path, id: u64, schema: &SchemaRef) -> io::Result<Self> {
        let options = IpcWriteOptions::try_new(8, false, MetadataVersion::V5)
            .and_then(|options| options.try_with_compression(Some(CompressionType::ZSTD)))
            .map_err(io::Error::other)?;
        let encoder = StreamWriter::try_new_with_options(Vec::new(), schema, options)
            .map_err(io::Error::other)?;
        let file = Arc::new(private::create(path)?);
        let mut segment = Self { id, path: path.to_owned(), file, encoder, length: 0, rows: 0 };
        segment.put().inspect_err(|_| {
            // Without its schema it is worth nothing.
            let _ = std::fs::remove_file(path);
        })?;
        Ok(segment)
    }

    /// Adds rows. After an error the segment is as it was before.
    pub(super) fn append(&mut self, batch: &RecordBatch) -> io::Result<u64> {
        self.encoder.write(batch).map_err(io::Error::other)?;
        let bytes = self.put()?;
        self.rows += batch.num_rows();
        Ok(bytes)
    }

    fn put(&mut self) -> io::Result<u64> {
        let bytes = self.encoder.get_mut();
        let length = bytes.len() as u64;
        let result = (&*self.file).write_all(bytes);
        bytes.clear();
        match result {
            Ok(()) => {
                self.length += length;
                Ok(length)
            }
            Err(error) => {
                // Cut what did not go in whole; a torn tail would be cut by readers, too.
                let _ = self.file.set_len(self.length);
                let _ = (&*self.file).seek(SeekFrom::Start(self.length));
                Err(error)
            }
        }
    }

    pub(super) fn bytes(&self) -> u64 {
        self.length
    }

    pub(super) fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }
}

/// What comes behind the last whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tail {
    /// Nothing.
    Whole,
    /// So many bytes of a message that was not written to its end.
    Torn(u64),
    /// Bytes that are no message.
    Damaged(String),
}

/// Reads a segment batch by batch, up to its last whole message.
pub(super) struct Reader {
    path: PathBuf,
    /// `None` when not even the schema is whole.
    stream: Option<StreamReader<BufReader<io::Take<File>>>>,
    tail: Tail,
}

impl Reader {
    /// Opens a segment; `columns` are those wanted, by name, all when `None`.
    pub(super) fn open(path: &Path, columns: Option<&[&str]>) -> Result<Self, RecordsError> {
        let mut file = File::open(path).map_err(RecordsError::io("open", path))?;
        let length = file.metadata().map_err(RecordsError::io("read", path))?.len();
        let (end, tail) = scan(&mut file, length).map_err(RecordsError::io("read", path))?;
        let open = |columns: Option<Vec<usize>>| {
            let mut file = File::open(path).map_err(ArrowError::from)?;
            file.rewind()?;
            StreamReader::try_new(BufReader::with_capacity(1 << 20, file.take(end)), columns)
        };
        let mut reader = Self { path: path.to_owned(), stream: None, tail };
        if end == 0 {
            return Ok(reader);
        }
        let opened = guarded(|| {
            let all = open(None)?;
            let Some(names) = columns else { return Ok(all) };
            let schema = all.schema();
            open(Some(names.iter().filter_map(|name| schema.index_of(name).ok()).collect()))
        });
        match opened {
            Ok(stream) => reader.stream = Some(stream),
            Err(what) => reader.tail = Tail::Damaged(what),
        }
        Ok(reader)
    }

    /// The next rows. What cannot be read ends them, and [`Self::tail`] says why.
    pub(super) fn next(&mut self) -> Option<RecordBatch> {
        let stream = self.stream.as_mut()?;
        match guarded(|| stream.next().transpose()) {
            Ok(batch) => batch,
            Err(what) => {
                self.tail = Tail::Damaged(what);
                self.stream = None;
                None
            }
        }
    }

    /// What is behind what was read.
    pub(super) fn tail(&self) -> &Tail {
        &self.tail
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Arrow's reader is meant for its own writer's bytes, and panics where these are others.
fn guarded<T>(read: impl FnOnce() -> Result<T, ArrowError>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(result) => result.map_err(|error| error.to_string()),
        Err(_) => Err("a message makes no sense".to_owned()),
    }
}

/// Where the last whole message ends, and what comes behind it. A message is the
/// marker, the length of its description, the description, its body (Arrow columnar
/// format, "Encapsulated message format").
fn scan(file: &mut File, length: u64) -> io::Result<(u64, Tail)> {
    const MARKER: [u8; 4] = [0xff; 4];
    /// A description at most; ours have some kilobytes.
    const DESCRIPTION: u64 = 16 << 20;
    let mut at = 0;
    let mut description = Vec::new();
    loop {
        let left = length - at;
        if left == 0 {
            return Ok((at, Tail::Whole));
        }
        if left < 8 {
            return Ok((at, Tail::Torn(left)));
        }
        file.seek(SeekFrom::Start(at))?;
        let mut head = [0; 8];
        file.read_exact(&mut head)?;
        let [a, b, c, d, size @ ..] = head;
        let size = u64::from(u32::from_le_bytes(size));
        if [a, b, c, d] != MARKER {
            // A file system may leave zeros where a crash took the data.
            let zeros = rest_is_zero(file, at)?;
            let damage = || Tail::Damaged(format!("no message begins at byte {at}"));
            return Ok((at, if zeros { Tail::Torn(left) } else { damage() }));
        }
        if size == 0 {
            // The end of the stream, which we do not write.
            let tail = if left == 8 { Tail::Whole } else { Tail::Torn(left - 8) };
            return Ok((at, tail));
        }
        if size > left - 8 {
            return Ok((at, Tail::Torn(left)));
        }
        if size > DESCRIPTION {
            return Ok((at, Tail::Damaged(format!("the message at byte {at} is too large"))));
        }
        description.resize(size as usize, 0);
        file.read_exact(&mut description)?;
        let damaged = |what: &str| Tail::Damaged(format!("the message at byte {at}: {what}"));
        let message = match root_as_message(&description) {
            Ok(message) => message,
            Err(error) => return Ok((at, damaged(&error.to_string()))),
        };
        let start = at + 8 + size;
        let end = u64::try_from(message.bodyLength()).ok().and_then(|body| start.checked_add(body));
        let Some(end) = end.filter(|end| *end <= length) else {
            return Ok((at, Tail::Torn(left)));
        };
        if !is_bounded(file, &message, start, end)? {
            return Ok((at, damaged("its lengths make no sense")));
        }
        at = end;
    }
}

/// Whether a batch is of a size that is ours, and its buffers lie in its body. Arrow
/// makes room for what a buffer's first eight bytes say it has uncompressed, and where
/// there is none the process ends.
fn is_bounded(file: &File, message: &Message<'_>, start: u64, end: u64) -> io::Result<bool> {
    /// Rows of a batch; ours have 4,096.
    const ROWS: i64 = 1 << 20;
    /// Bytes of all buffers of a batch; ours have some 12 MB.
    const BYTES: u64 = 256 << 20;
    let Some(batch) = message.header_as_record_batch() else { return Ok(true) };
    let rows = 0..=ROWS;
    // Items of a list are more than rows, yet no more than bytes.
    let items = 0..=BYTES as i64;
    let nodes = batch.nodes().into_iter().flatten();
    if !rows.contains(&batch.length()) || !nodes.map(FieldNode::length).all(|n| items.contains(&n))
    {
        return Ok(false);
    }
    let mut sum = 0_u64;
    for buffer in batch.buffers().into_iter().flatten() {
        let (Ok(offset), Ok(length)) =
            (u64::try_from(buffer.offset()), u64::try_from(buffer.length()))
        else {
            return Ok(false);
        };
        let begin = start.checked_add(offset);
        let Some(begin) = begin.filter(|at| at.checked_add(length).is_some_and(|at| at <= end))
        else {
            return Ok(false);
        };
        if length < 8 {
            continue;
        }
        let mut prefix = [0; 8];
        file.read_exact_at(&mut prefix, begin)?;
        // -1 stands for a buffer that is not compressed.
        let uncompressed = i64::from_le_bytes(prefix);
        sum = sum.saturating_add(u64::try_from(uncompressed).unwrap_or(length));
    }
    Ok(sum <= BYTES)
}

fn rest_is_zero(file: &mut File, at: u64) -> io::Result<bool> {
    file.seek(SeekFrom::Start(at))?;
    let mut block = vec![0; 64 << 10];
    loop {
        match file.read(&mut block)? {
            0 => return Ok(true),
            n if block[..n].iter().all(|byte| *byte == 0) => {}
            _ => return Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::FileExt as _};

    use super::{Reader, Segment, Tail};
    use crate::{
        history::{Change, Progress},
        records::encode::OutcomeRows,
        time::Timestamp,
    };

    fn segment(path: &std::path::Path, batches: u64) -> Vec<u64> {
        let mut rows = OutcomeRows::new();
        let mut segment = Segment::create(path, 1, rows.schema()).unwrap();
        let mut ends = vec![segment.bytes()];
        for batch in 0..batches {
            for call in 0..100 {
                let at = Timestamp(1_760_000_000_000_000_000 + batch * 100 + call);
                let (progress, code) = (Progress::Answered, 200);
                let (setup, duration) = (call as f32, f32::NAN);
                rows.push(&Change { call, at, progress, code, setup, duration });
            }
            segment.append(&rows.finish().unwrap()).unwrap();
            ends.push(segment.bytes());
        }
        ends
    }

    fn read(path: &std::path::Path) -> (usize, Tail) {
        let mut reader = Reader::open(path, None).unwrap();
        let mut rows = 0;
        while let Some(batch) = reader.next() {
            rows += batch.num_rows();
        }
        (rows, reader.tail().clone())
    }

    #[test]
    fn a_segment_cut_at_any_byte_reads_to_its_last_whole_batch() {
        let at = tempfile::tempdir().unwrap();
        let path = at.path().join("s");
        let ends = segment(&path, 3);
        let whole = fs::read(&path).unwrap();
        for cut in 0..=whole.len() {
            fs::write(&path, &whole[..cut]).unwrap();
            let batches = ends.iter().filter(|end| **end <= cut as u64).count();
            let (rows, tail) = read(&path);
            assert_eq!(rows, 100 * batches.saturating_sub(1), "cut at {cut}");
            let left = cut as u64 - ends[..batches].last().copied().unwrap_or(0);
            assert_eq!(tail, if left == 0 { Tail::Whole } else { Tail::Torn(left) }, "at {cut}");
        }
    }

    #[test]
    fn damage_is_told_from_a_torn_tail() {
        let at = tempfile::tempdir().unwrap();
        let path = at.path().join("s");
        let ends = segment(&path, 3);
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(b"garbage", ends[2]).unwrap();
        let (rows, tail) = read(&path);
        assert_eq!(rows, 200);
        assert!(matches!(tail, Tail::Damaged(_)), "{tail:?}");
        // Zeros, as a power cut leaves them.
        file.write_all_at(&vec![0; (ends[3] - ends[2]) as usize], ends[2]).unwrap();
        assert_eq!(read(&path), (200, Tail::Torn(ends[3] - ends[2])));
    }

    #[test]
    fn bytes_turned_over_anywhere_neither_panic_nor_hide_what_came_before() {
        let at = tempfile::tempdir().unwrap();
        let path = at.path().join("s");
        let ends = segment(&path, 2);
        let whole = fs::read(&path).unwrap();
        for byte in (0..whole.len()).step_by(3) {
            let mut turned = whole.clone();
            turned[byte] ^= 0xff;
            fs::write(&path, &turned).unwrap();
            let (rows, _) = read(&path);
            if byte as u64 >= ends[1] {
                assert!(rows >= 100, "byte {byte}: {rows}");
            }
        }
    }
}
