//! Housekeeping: closed segments become Parquet files, old records go, numbers are
//! erased or replaced by pseudonyms. Never on the scoring thread, nor on the writer's.

use std::{
    collections::VecDeque,
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError},
    },
    thread,
    time::{Duration, Instant},
};

use super::{
    RecordsConfig, RecordsError,
    files::{
        self, CLOSE, KeeperLock, Kind, Listing, ParquetFile, SegmentFile, WriterLock, set_aside,
        sync_folder,
    },
    number::Sought,
    parquet_file::{self, Rows},
    pseudonym::Key,
    recorder::Mode,
    segment::{Reader, Tail},
    stats::Stats,
};
use crate::{private, tap::wall, time::Timestamp};
use arrow::{
    array::{Array as _, AsArray as _, BooleanArray, RecordBatch, StringArray},
    compute::filter_record_batch,
};

/// After this long what failed is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(30);
/// How often the keeper looks whether it shall end.
const LOOK: Duration = Duration::from_millis(100);
/// How often old records are looked for.
const EVERY: Duration = Duration::from_mins(10);
/// How long the process that writes is waited for.
const PATIENCE: Duration = Duration::from_mins(1);
/// Columns with numbers in them.
const NUMBERS: [&str; 3] = ["caller", "network_number", "callee"];

/// The thread that keeps house beside the writer.
pub(super) struct Keeper {
    pub(super) config: RecordsConfig,
    pub(super) folder: PathBuf,
    pub(super) mode: Mode,
    pub(super) stats: Arc<Stats>,
    pub(super) stop: Arc<AtomicBool>,
}

impl Keeper {
    /// Works until nobody sends any more; live, until it is told to stop.
    pub(super) fn run(self, closed: &Receiver<SegmentFile>) {
        if self.mode == Mode::Live {
            stand_back();
        }
        let mut waiting = VecDeque::new();
        let mut next_try = Instant::now();
        let mut next_look = Instant::now();
        let mut ended = false;
        let mut troubled = false;
        loop {
            match closed.recv_timeout(LOOK) {
                Ok(segment) => waiting.push_back(segment),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => ended = true,
            }
            // What is left the next run takes up.
            if self.mode == Mode::Live && self.stop.load(Ordering::Acquire) {
                return;
            }
            if Instant::now() >= next_try
                && let Some(segment) = waiting.pop_front()
            {
                match self.make(&segment) {
                    Ok(()) => troubled = false,
                    Err(error) => {
                        if !troubled {
                            log::error!("{error}; the segment stays, tried again every 30 s");
                        }
                        troubled = true;
                        waiting.push_front(segment);
                        next_try = Instant::now() + TRY_AGAIN;
                    }
                }
            }
            if self.mode == Mode::Live && Instant::now() >= next_look {
                next_look = Instant::now() + EVERY;
                match KeeperLock::take(&self.folder).and_then(|lock| self.look(&lock)) {
                    Ok(kept) => kept.log(),
                    Err(error) => log::error!("{error}; tried again in ten minutes"),
                }
            }
            if ended && (waiting.is_empty() || troubled) {
                return;
            }
        }
    }

    fn make(&self, segment: &SegmentFile) -> Result<(), RecordsError> {
        let _lock = KeeperLock::take(&self.folder)?;
        let made = parquet_file::of_segment(&self.folder, segment)?;
        let count = |counter: &AtomicU64, by: bool| {
            counter.fetch_add(u64::from(by), Ordering::Relaxed);
        };
        count(&self.stats.files, made.rows > 0);
        count(&self.stats.damaged, made.damaged.is_some());
        Ok(())
    }

    fn look(&self, lock: &KeeperLock) -> Result<Kept, RecordsError> {
        let kept = look_after(&self.folder, &self.config, wall(), lock)?;
        self.stats.damaged.fetch_add(kept.damaged as u64, Ordering::Relaxed);
        Ok(kept)
    }
}

/// Lets every other thread go first: making Parquet files takes a core for seconds, which
/// the writer must not miss, nor the scoring thread.
pub(crate) fn stand_back() {
    // SAFETY: no pointers; 0 is the calling thread.
    let failed = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 15) } != 0;
    if failed {
        log::warn!("cannot lower a priority: {}", std::io::Error::last_os_error());
    }
}

/// What was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Segments made Parquet files.
    pub segments: usize,
    /// Files deleted for their age or for room.
    pub deleted: usize,
    /// Bytes that were freed.
    pub freed: u64,
    /// Files in which numbers were replaced.
    pub pseudonymised: usize,
    /// Files set aside as damaged.
    pub damaged: usize,
}

impl Kept {
    fn log(&self) {
        if *self != Self::default() {
            let Self { deleted, freed, pseudonymised, damaged, .. } = self;
            log::info!(
                "records: {deleted} files deleted ({freed} bytes), numbers replaced in {pseudonymised}, {damaged} set aside"
            );
        }
    }
}

/// Keeps house once, from another process: where nobody records, segments left over
/// are made Parquet files, too.
///
/// # Errors
/// When a file cannot be read or written; what was done stays done.
pub fn maintain(
    folder: &Path,
    config: &RecordsConfig,
    now: Timestamp,
) -> Result<Kept, RecordsError> {
    exists(folder)?;
    let writer = match WriterLock::take(folder) {
        Ok(lock) => Some(lock),
        Err(RecordsError::InUse(_)) => None,
        Err(error) => return Err(error),
    };
    let lock = KeeperLock::take(folder)?;
    let mut kept = Kept::default();
    if writer.is_some() {
        for segment in files::list(folder)?.segments {
            let made = parquet_file::of_segment(folder, &segment)?;
            kept.segments += usize::from(made.rows > 0);
            kept.damaged += usize::from(made.damaged.is_some());
        }
    }
    let rest = look_after(folder, config, now, &lock)?;
    kept.damaged += rest.damaged;
    Ok(Kept { segments: kept.segments, damaged: kept.damaged, ..rest })
}

fn exists(folder: &Path) -> Result<(), RecordsError> {
    if folder.is_dir() {
        return Ok(());
    }
    Err(RecordsError::NoRecords { path: folder.to_owned(), why: "there is no such folder" })
}

/// Everything but segments.
fn look_after(
    folder: &Path,
    config: &RecordsConfig,
    now: Timestamp,
    _lock: &KeeperLock,
) -> Result<Kept, RecordsError> {
    let mut kept = Kept::default();
    let Listing { segments, mut files, done_with, half_made, damaged } = files::list(folder)?;
    for path in done_with.iter().chain(&half_made) {
        parquet_file::remove(path)?;
    }
    let before = |age: Duration| Timestamp(now.0.saturating_sub(age.as_nanos() as u64));
    let mut delete = |path: &Path, bytes: u64| {
        kept.deleted += 1;
        kept.freed += bytes;
        parquet_file::remove(path)
    };
    if let Some(age) = config.keep {
        let oldest = before(age);
        let (old, young) = files.into_iter().partition(|file| file.times[1] < oldest);
        files = young;
        for file in old {
            delete(&file.path, file.bytes)?;
        }
        for path in &damaged {
            let about = fs::metadata(path).ok();
            let changed = about.as_ref().and_then(|about| about.modified().ok());
            let age_now = changed.and_then(|changed| changed.elapsed().ok()).unwrap_or_default();
            if age_now > age {
                delete(path, about.map_or(0, |about| about.len()))?;
            }
        }
    }
    if let Some(most) = config.most_bytes {
        // Segments count, though they cannot go before they are Parquet files.
        let size =
            |segment: &SegmentFile| fs::metadata(&segment.path).map_or(0, |about| about.len());
        let mut bytes: u64 = files.iter().map(|file| file.bytes).sum();
        bytes += segments.iter().map(size).sum::<u64>();
        files.sort_by_key(|file| file.times[1]);
        let mut left = files.into_iter();
        while bytes > most
            && let Some(file) = left.next()
        {
            bytes -= file.bytes;
            delete(&file.path, file.bytes)?;
        }
        files = left.collect();
    }
    // What cannot be opened must not fail every query.
    let mut whole = Vec::with_capacity(files.len());
    for file in files {
        match parquet_file::check(&file.path) {
            Ok(()) => whole.push(file),
            Err(RecordsError::Damaged { what, .. }) => {
                set_aside(&file.path, &what)?;
                kept.damaged += 1;
            }
            Err(error) => return Err(error),
        }
    }
    if let Some(age) = config.pseudonymise {
        let oldest = before(age);
        let due = |file: &&ParquetFile| {
            file.kind == Kind::Calls && !file.pseudonymised && file.times[1] < oldest
        };
        let mut key = None;
        for file in whole.iter().filter(due) {
            if key.is_none() {
                key = Some(Key::open(folder, config.home)?);
            }
            let Some(key) = &key else { continue };
            let edited = parquet_file::edit(folder, file, true, &mut |batch| {
                Ok((without_numbers(&batch, key, &file.path)?, true))
            });
            match or_aside(edited)? {
                Ok(_) => kept.pseudonymised += 1,
                Err(_) => kept.damaged += 1,
            }
        }
    }
    sync_folder(folder)?;
    Ok(kept)
}

/// Sets a file aside that is damaged, so that it does not stand in the way of others;
/// where it is then.
fn or_aside<T>(result: Result<T, RecordsError>) -> Result<Result<T, PathBuf>, RecordsError> {
    match result {
        Err(RecordsError::Damaged { path, what }) => set_aside(&path, &what).map(Err),
        result => result.map(Ok),
    }
}

/// What was read to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Files and segments.
    pub files: usize,
    /// Rows in them.
    pub rows: usize,
    /// Where damaged Parquet files were set aside.
    pub damaged: Vec<PathBuf>,
    /// Damaged segments: they are set aside when they are made Parquet files.
    pub segments: Vec<PathBuf>,
}

/// Reads every file to its end, and sets aside what is damaged.
///
/// # Errors
/// When a file cannot be opened or set aside.
pub fn check(folder: &Path) -> Result<Checked, RecordsError> {
    exists(folder)?;
    let _lock = KeeperLock::take(folder)?;
    let listing = files::list(folder)?;
    let mut checked = Checked { damaged: listing.damaged, ..Checked::default() };
    for file in &listing.files {
        let rows = Rows::open(&file.path, None).and_then(|rows| {
            rows.map(|batch| batch.map(|batch| batch.num_rows())).sum::<Result<usize, _>>()
        });
        match or_aside(rows)? {
            Ok(rows) => {
                checked.files += 1;
                checked.rows += rows;
            }
            Err(aside) => checked.damaged.push(aside),
        }
    }
    for segment in listing.segments {
        let mut reader = Reader::open(&segment.path, None)?;
        while let Some(batch) = reader.next() {
            checked.rows += batch.num_rows();
        }
        checked.files += 1;
        if matches!(reader.tail(), Tail::Damaged(_)) {
            checked.segments.push(segment.path);
        }
    }
    Ok(checked)
}

/// Rows with pseudonyms in place of numbers, in Call-IDs, too.
fn without_numbers(
    batch: &RecordBatch,
    key: &Key,
    path: &Path,
) -> Result<RecordBatch, RecordsError> {
    let schema = batch.schema();
    let mut columns = batch.columns().to_vec();
    let texts = |name: &str| {
        let at = schema.index_of(name).map_err(RecordsError::arrow(path))?;
        Ok::<_, RecordsError>((at, batch.column(at).as_string::<i32>()))
    };
    let numbers = [texts(NUMBERS[0])?, texts(NUMBERS[1])?, texts(NUMBERS[2])?];
    let (call_id_at, call_ids) = texts("call_id")?;
    let call_ids: StringArray = (0..batch.num_rows())
        .map(|row| {
            let call_id = call_ids.value(row);
            let named = numbers.iter().any(|(_, column)| {
                column.is_valid(row) && contains_number(call_id, column.value(row))
            });
            Some(if named { key.of_call_id(call_id) } else { call_id.to_owned() })
        })
        .collect();
    for (at, column) in numbers {
        let replaced: StringArray = column
            .iter()
            .map(|user| user.map(|user| key.of_user(user).unwrap_or_else(|| user.to_owned())))
            .collect();
        columns[at] = Arc::new(replaced);
    }
    columns[call_id_at] = Arc::new(call_ids);
    RecordBatch::try_new(schema, columns).map_err(RecordsError::arrow(path))
}

/// Whether a text has the last nine digits of a number in it, which are the same in
/// every form of it.
fn contains_number(text: &str, number: &str) -> bool {
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    let Some(tail) = digits.len().checked_sub(9).and_then(|at| digits.get(at..)) else {
        return digits.len() >= 7 && text.contains(&digits);
    };
    text.contains(tail)
}

/// What was erased.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Erased {
    /// Calls.
    pub rows: usize,
    /// Files they were in.
    pub files: usize,
    /// Damaged files, set aside earlier: the number may be in them.
    pub damaged: Vec<PathBuf>,
}

/// Erases every call with a number in it, as caller, callee or network number, also
/// where it is a pseudonym. Calls that come meanwhile stay.
///
/// # Errors
/// When a file cannot be read or written; what was erased stays erased, and the rest is
/// still there: do it again.
pub fn erase(
    folder: &Path,
    config: &RecordsConfig,
    sought: &Sought,
    damaged_too: bool,
) -> Result<Erased, RecordsError> {
    exists(folder)?;
    // Held until the end: nobody begins to record meanwhile.
    let writer = match WriterLock::take(folder) {
        Ok(lock) => Some(lock),
        Err(RecordsError::InUse(_)) => {
            close_segments(folder)?;
            None
        }
        Err(error) => return Err(error),
    };
    let _lock = KeeperLock::take(folder)?;
    if writer.is_some() {
        for segment in files::list(folder)?.segments {
            parquet_file::of_segment(folder, &segment)?;
        }
    }
    let pseudonym = Key::read(folder, config.home)?.map(|key| key.of_number(sought.number()));
    let is = |user: &str| sought.is(user) || pseudonym.as_deref() == Some(user);
    let mut listing = files::list(folder)?;
    for path in listing.done_with.iter().chain(&listing.half_made) {
        parquet_file::remove(path)?;
    }
    let mut erased = Erased::default();
    for file in listing.files.iter().filter(|file| file.kind == Kind::Calls) {
        let mut rows = 0;
        let edited = has(&file.path, &is, sought).and_then(|has| {
            if !has {
                return Ok(None);
            }
            parquet_file::edit(folder, file, file.pseudonymised, &mut |batch| {
                let keep = other_rows(&batch, &is, sought);
                rows += keep.false_count();
                let left =
                    filter_record_batch(&batch, &keep).map_err(RecordsError::arrow(&file.path))?;
                Ok((left, keep.false_count() > 0))
            })
        });
        match or_aside(edited)? {
            Ok(None) => {}
            Ok(Some(_)) => {
                erased.rows += rows;
                erased.files += 1;
            }
            Err(aside) => listing.damaged.push(aside),
        }
    }
    for path in listing.damaged {
        if damaged_too {
            parquet_file::remove(&path)?;
        } else {
            erased.damaged.push(path);
        }
    }
    sync_folder(folder)?;
    Ok(erased)
}

/// Has the process that records close its segments, and waits until they are Parquet
/// files.
fn close_segments(folder: &Path) -> Result<(), RecordsError> {
    let open = files::list(folder)?.segments;
    let wish = folder.join(CLOSE);
    private::create(&wish).map_err(RecordsError::io("make", &wish))?;
    let since = Instant::now();
    loop {
        thread::sleep(LOOK);
        let left = files::list(folder)?.segments;
        if !wish.exists() && !open.iter().any(|segment| left.contains(segment)) {
            return Ok(());
        }
        if since.elapsed() > PATIENCE {
            parquet_file::remove(&wish)?;
            let (path, seconds) = (folder.to_owned(), PATIENCE.as_secs());
            return Err(RecordsError::NoAnswer { path, seconds });
        }
    }
}

/// Whether a file has a row with the number. Reads only the columns it may be in.
fn has(path: &Path, is: &dyn Fn(&str) -> bool, sought: &Sought) -> Result<bool, RecordsError> {
    let [caller, network, callee] = NUMBERS;
    for batch in Rows::open(path, Some(&[caller, network, callee, "call_id"]))? {
        let batch = batch?;
        if other_rows(&batch, is, sought).true_count() < batch.num_rows() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Rows without the number.
fn other_rows(batch: &RecordBatch, is: &dyn Fn(&str) -> bool, sought: &Sought) -> BooleanArray {
    let texts = |name: &str| batch.column_by_name(name).and_then(|column| column.as_string_opt());
    let numbers = NUMBERS.map(texts);
    let call_ids: Option<&StringArray> = texts("call_id");
    // Short ones are in Call-IDs by chance.
    let digits = Some(sought.digits()).filter(|digits| digits.len() >= 8);
    (0..batch.num_rows())
        .map(|row| {
            let value = |column: Option<&StringArray>| {
                column
                    .filter(|column| column.is_valid(row))
                    .map(|column| column.value(row).to_owned())
            };
            let named = numbers.iter().any(|column| value(*column).is_some_and(|user| is(&user)));
            let in_call_id = digits
                .zip(value(call_ids))
                .is_some_and(|(digits, call_id)| call_id.contains(digits));
            Some(!named && !in_call_id)
        })
        .collect()
}
