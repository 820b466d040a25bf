//! Records in object storage: a folder, and a server that speaks S3; read by ClickHouse.

use std::{
    ffi::OsString,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use scorer::{
    cluster::{Cluster, ClusterConfig, Seat, Stores},
    history::Marks,
};
use scorer_tests::{
    calls::{Invite, capture},
    lab::Running,
    nats,
    scorer::{binary, run},
    shared,
};

fn program(name: &str) -> Option<PathBuf> {
    shared::installed("venv-archive", name)
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

/// Names and bytes of the Parquet files of a folder; none where there is no folder.
fn files(folder: &Path) -> Vec<(OsString, Vec<u8>)> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut found: Vec<_> = entries
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|end| end == "parquet"))
        .map(|path| {
            let name = path.file_name().expect("a name").to_owned();
            (name, std::fs::read(&path).expect("read"))
        })
        .collect();
    found.sort();
    found
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

/// A host of a cluster that puts its records into JetStream.
fn host(folder: &Path, port: u16, name: &str) -> (Seat, Cluster) {
    let config = ClusterConfig {
        servers: vec![format!("nats://127.0.0.1:{port}")],
        host: Some(name.to_owned()),
        secret: Some(folder.join("secret")),
        spool: Some(folder.join(name).join("spool")),
        records_bytes: 64 << 20,
        ..ClusterConfig::default()
    };
    let stores = Stores { records: Some(folder.join(name).join("records")), ..Stores::default() };
    Cluster::start(&config, &stores, &Marks::default()).expect("it starts")
}

/// Waits for what other processes do.
fn until(what: &str, done: impl Fn() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_mins(2), "{what}");
        sleep(Duration::from_millis(100));
    }
}

/// Through JetStream: two hosts, an archiver that is killed and comes again, and messages
/// that are none.
#[test]
fn the_same_parquet_files_by_way_of_jetstream() {
    const PORT: u16 = 24_226;
    let folder = tempfile::tempdir().expect("a folder");
    let of = |name: &str| folder.path().join(name).display().to_string();
    let Some(_nats) = nats::alone(folder.path(), PORT) else { return };
    assert_eq!(run(&["cluster", "secret", &of("secret")]).code, 0);
    let config = format!(
        "[cluster]\nservers = [\"nats://127.0.0.1:{PORT}\"]\nhost = \"archive\"\n\
         secret_file = \"{}\"\nspool = \"{}\"\n",
        of("secret"),
        of("work")
    );
    std::fs::write(of("off.toml"), &config).expect("written");
    std::fs::write(of("scorer.toml"), config + "records_mib = 64\n").expect("written");
    let to = format!("file://{}", of("archive"));
    let ran = run(&["cluster", "archive", "--config", &of("off.toml"), "--to", &to]);
    assert!(ran.code != 0 && ran.err.contains("cluster.records_mib is 0"), "{}", ran.err);

    for (name, calls) in [("edge-1", 120), ("edge-2", 60)] {
        std::fs::create_dir_all(of(name)).expect("a folder");
        records(&folder.path().join(name), calls);
    }
    // Of several parts; what is in a file is not looked at on its way.
    let large =
        "calls-20261125T080000.000000000Z-20261125T085959.123456789Z-18a2f4c01d3b5e00.parquet";
    let bytes: Vec<u8> =
        (0..1_400_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    std::fs::write(folder.path().join("edge-2/records").join(large), bytes).expect("written");
    let hosts = ["edge-1", "edge-2"].map(|name| host(folder.path(), PORT, name));
    let archiver = || {
        let mut command = Command::new(binary());
        command.args(["cluster", "archive", "--config", &of("scorer.toml"), "--to", &to]);
        Running(command.spawn().expect("scorer runs"))
    };
    let same = || {
        ["edge-1", "edge-2"].iter().all(|name| {
            let (here, there) = (
                folder.path().join(name).join("records"),
                folder.path().join("archive").join(name),
            );
            files(&here) == files(&there)
        })
    };
    let first = archiver();
    until("the files of both hosts are stored", same);
    // Killed; what comes meanwhile waits in JetStream, with something that is no record.
    drop(first);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("one");
    runtime.block_on(async {
        let client = async_nats::connect(format!("127.0.0.1:{PORT}")).await.expect("connected");
        let context = async_nats::jetstream::new(client);
        for junk in [&b"junk"[..], b"SC\x01\x04\x01x", b""] {
            let sent = context.publish("scorer.scorer.records.edge-1", junk.into()).await;
            sent.expect("sent").await.expect("stored");
        }
    });
    let told = |host: &(Seat, Cluster)| {
        let samples = host.0.stats().samples();
        samples
            .iter()
            .find(|(name, ..)| *name == "scorer_cluster_record_files_total")
            .expect("one")
            .2
    };
    records(&folder.path().join("edge-1"), 33);
    until("JetStream has the file", || told(&hosts[0]) == 2);
    assert!(!same());
    let _second = archiver();
    until("what waited is stored", same);
    assert_eq!((files(&folder.path().join("archive/edge-1")).len(), told(&hosts[1])), (2, 2));
    // Nothing is left in the folder of what is under way.
    until("nothing is under way", || {
        std::fs::read_dir(of("work/archive")).is_ok_and(|mut entries| entries.next().is_none())
    });
    for (seat, cluster) in hosts {
        drop(seat);
        cluster.finish();
    }
}
