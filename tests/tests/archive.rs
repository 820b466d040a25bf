//! Records in object storage: a folder, and a server that speaks S3; read by ClickHouse.

use std::{
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use scorer_tests::{
    calls::{Invite, capture},
    lab::Running,
    scorer::{binary, run},
    shared,
};

/// A program of the virtual environment; `None`, and said aloud, where it is missing and
/// nobody asks for every test.
fn program(name: &str) -> Option<PathBuf> {
    let path = shared::root().join("target/venv-archive/bin").join(name);
    if path.exists() {
        return Some(path);
    }
    assert!(
        std::env::var_os("SCORER_REQUIRE_ROOT_TESTS").is_none(),
        "{name} is not installed; `cargo xtask test` does it"
    );
    println!("SKIPPED: {name} is not installed");
    None
}

/// Records of so many calls.
fn records(folder: &Path, calls: usize) -> String {
    let of = |name: &str| folder.join(name).display().to_string();
    let calls: Vec<_> = (0..calls)
        .map(|call| Invite::of(&format!("+441632960{:03}", call % 50), "+441632960777"))
        .collect();
    capture(&folder.join("calls.pcap"), &calls);
    let (records, capture) = (of("records"), of("calls.pcap"));
    let ran = run(&["replay", "--records", &records, "--format", "jsonl", &capture]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    records
}

fn archive(records: &str, to: &str, port: u16) -> (bool, String) {
    let mut command = Command::new(binary());
    command.args(["records", "archive", "--records", records, "--host", "edge-1", "--to", to]);
    command.env("AWS_ENDPOINT", format!("http://127.0.0.1:{port}")).env("AWS_ALLOW_HTTP", "true");
    command.env("AWS_ACCESS_KEY_ID", "k").env("AWS_SECRET_ACCESS_KEY", "s");
    let output = command.env("AWS_REGION", "us-east-1").output().expect("scorer runs");
    (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The same files, byte for byte, whatever is run again; what was rewritten is put again.
#[test]
fn the_same_parquet_files_in_a_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    let records = records(folder.path(), 120);
    let there = folder.path().join("archive");
    let to = format!("file://{}", there.display());
    let (good, words) = archive(&records, &to, 1);
    assert!(good && words.contains("1 files put"), "{words}");
    let files = |folder: &Path| {
        let mut found: Vec<_> = std::fs::read_dir(folder)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.extension().is_some_and(|end| end == "parquet"))
            .map(|path| {
                (
                    path.file_name().map(std::ffi::OsStr::to_owned),
                    std::fs::read(&path).expect("read"),
                )
            })
            .collect();
        found.sort();
        found
    };
    let objects = there.join("edge-1");
    assert_eq!(files(&objects), files(Path::new(&records)));
    let (good, words) = archive(&records, &to, 1);
    assert!(good && words.contains("0 files put (0 bytes), 1 were there"), "{words}");
    // Cut short: what is not whole is put again.
    let object = std::fs::read_dir(&objects).expect("a folder").next().expect("one").expect("one");
    std::fs::write(object.path(), b"half").expect("written");
    assert!(archive(&records, &to, 1).1.contains("1 files put"));
    assert_eq!(files(&objects), files(Path::new(&records)));
    // Erased here, erased there.
    let erased = run(&["records", "erase", "+441632960007", "--records", &records]);
    assert!(erased.code == 0 && erased.err.contains("erased 3 calls"), "{}", erased.err);
    assert!(archive(&records, &to, 1).1.contains("1 files put"));
    assert_eq!(files(&objects), files(Path::new(&records)));
    let count = run(&[
        "query",
        "--records",
        &objects.display().to_string(),
        "SELECT count(*) AS n FROM calls",
        "--format",
        "jsonl",
    ]);
    assert!(count.out.contains("117"), "{} {}", count.out, count.err);
    let (good, words) = archive(&records, "ftp://x", 1);
    assert!(!good && words.contains("is no place to archive to"), "{words}");
}

#[test]
fn the_same_in_s3_and_read_by_clickhouse() {
    const PORT: u16 = 24_225;
    let Some(server) = program("moto_server") else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let records = records(folder.path(), 120);
    let (good, words) = archive(&records, "s3://calls/edges", PORT);
    assert!(!good && words.contains("cannot archive to s3://calls/edges"), "nobody there: {words}");
    let mut command = Command::new(server);
    command.args(["-p", &PORT.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
    let _server = Running(command.spawn().expect("moto_server starts"));
    let start = Instant::now();
    while TcpStream::connect(("127.0.0.1", PORT)).is_err() {
        assert!(start.elapsed() < Duration::from_mins(1), "moto_server does not start");
        sleep(Duration::from_millis(100));
    }
    let python = program("python").expect("it is in the environment");
    let script = |text: &str| {
        let output = Command::new(&python).args(["-c", text, &records]).output().expect("runs");
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        out
    };
    let client = format!(
        "import sys, boto3; s = boto3.client('s3', endpoint_url='http://127.0.0.1:{PORT}', \
         region_name='us-east-1', aws_access_key_id='k', aws_secret_access_key='s')\n"
    );
    script(&format!("{client}s.create_bucket(Bucket='calls')"));
    for says in ["1 files put", "0 files put (0 bytes), 1 were there"] {
        let (good, words) = archive(&records, "s3://calls/edges", PORT);
        assert!(good && words.contains(says), "{words}");
    }
    let same = format!(
        "{client}import os\n\
         objects = s.list_objects_v2(Bucket='calls')['Contents']\n\
         for o in objects:\n\
         \x20   host, name = o['Key'].split('/')[-2:]\n\
         \x20   assert host == 'edge-1' and o['Key'].startswith('edges/'), o['Key']\n\
         \x20   body = s.get_object(Bucket='calls', Key=o['Key'])['Body'].read()\n\
         \x20   assert body == open(os.path.join(sys.argv[1], name), 'rb').read()\n\
         print(len(objects))"
    );
    assert_eq!(script(&same).trim(), "1");

    // docs/clickhouse.md's own statements, over the files.
    let docs = std::fs::read_to_string(shared::root().join("docs/clickhouse.md")).expect("a page");
    let blocks: Vec<_> = docs
        .split("```sql\n")
        .skip(1)
        .filter_map(|block| block.split_once("```"))
        .map(|(block, _)| {
            block.replace(
                "s3('https://BUCKET.s3.amazonaws.com/PREFIX/*/calls-*.parquet')",
                "file('FOLDER/calls-*.parquet')",
            )
        })
        .map(|block| block.replace("FOLDER", &records))
        .collect();
    assert!(blocks.len() >= 3, "{}", blocks.len());
    let statements = serde_json::to_string(&blocks).expect("JSON");
    let ran = script(&format!(
        "import json\nfrom chdb import session\ns = session.Session()\n\
         for block in json.loads({statements:?}):\n\
         \x20   for one in block.split(';'):\n\
         \x20       if one.strip():\n\
         \x20           out = str(s.query(one, 'CSV')).strip()\n\
         \x20           if out: print(out)\n"
    ));
    let lines: Vec<_> = ran.lines().collect();
    println!("{ran}");
    assert!(lines.contains(&"120"), "every call once: {ran}");
}
