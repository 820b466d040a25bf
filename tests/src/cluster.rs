//! Several labs whose tapped sides have a network among them, as edge hosts of one
//! organisation have, with a NATS server at each.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    calls::Invite,
    frames::udp4,
    lab::{Lab, Running, enter, inside, run, unique},
    nats,
    scorer::{self, LiveTap},
};

/// Longest wait for anything to come about.
const PATIENCE: Duration = Duration::from_mins(1);

/// Hosts with a lab each, joined by a switch.
#[derive(Debug)]
pub struct Hosts {
    switch: String,
    folder: tempfile::TempDir,
    /// One after the other.
    pub hosts: Vec<Host>,
}

/// One of them.
#[derive(Debug)]
pub struct Host {
    /// Its two namespaces.
    pub lab: Lab,
    /// Its files.
    pub folder: PathBuf,
    /// Its NATS server.
    pub nats: Option<Running>,
    /// Its scorer.
    pub tap: Option<LiveTap>,
    number: usize,
}

impl Hosts {
    /// So many, with their NATS servers as one cluster, and their configurations; `None`,
    /// and said aloud, where there is no NATS server to be had.
    ///
    /// # Panics
    /// When something cannot be made.
    pub fn new(count: usize) -> Option<Self> {
        nats::server()?;
        let switch = format!("scorer-sw{}", unique());
        run("ip", &format!("netns add {switch}"));
        run("ip", &format!("-n {switch} link add sw0 type bridge"));
        run("ip", &format!("-n {switch} link set sw0 up"));
        let folder = tempfile::tempdir().expect("a folder");
        let secret = folder.path().join("secret");
        let made = scorer::run(&["cluster", "secret", &secret.display().to_string()]);
        assert_eq!(made.code, 0, "{}", made.err);
        let mut this = Self { switch, folder, hosts: Vec::new() };
        for number in 1..=count {
            let lab = Lab::new();
            let (switch, edge) = (&this.switch, lab.edge_namespace());
            run(
                "ip",
                &format!(
                    "link add port{number} netns {switch} type veth peer name host0 netns {edge}"
                ),
            );
            run("ip", &format!("-n {switch} link set port{number} master sw0 up"));
            run("ip", &format!("-n {edge} addr add 10.99.0.{number}/24 dev host0"));
            run("ip", &format!("-n {edge} link set host0 up"));
            let folder = this.folder.path().join(format!("edge-{number}"));
            std::fs::create_dir(&folder).expect("a folder");
            this.hosts.push(Host { lab, folder, nats: None, tap: None, number });
        }
        for host in &mut this.hosts {
            host.configure(count, &secret);
            host.start_nats();
        }
        Some(this)
    }

    /// Takes a host off the network among them, or puts it back.
    pub fn set_link(&self, host: usize, up: bool) {
        let state = if up { "up" } else { "down" };
        run("ip", &format!("-n {} link set port{} {state}", self.switch, host + 1));
    }

    /// Waits until something is so at all hosts.
    ///
    /// # Panics
    /// When it does not come about within a minute.
    pub fn wait(&self, what: &str, mut is_so: impl FnMut(&Host) -> bool) {
        for host in &self.hosts {
            let start = Instant::now();
            while !is_so(host) {
                assert!(start.elapsed() < PATIENCE, "{what} at {}: {}", host.name(), host.words());
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

impl Drop for Hosts {
    fn drop(&mut self) {
        // Processes first.
        for host in &mut self.hosts {
            host.tap = None;
            host.nats = None;
        }
        let _ = Command::new("ip").args(["netns", "del", &self.switch]).status();
    }
}

/// Where a host's metrics are served.
const METRICS: &str = "127.0.0.1:9464";

impl Host {
    /// Its name in the cluster.
    pub fn name(&self) -> String {
        format!("edge-{}", self.number)
    }

    /// One of its files.
    pub fn path(&self, name: &str) -> String {
        self.folder.join(name).display().to_string()
    }

    fn configure(&self, count: usize, secret: &Path) {
        let number = self.number;
        // The nearest first.
        let others = (1..=count).filter(|other| *other != number);
        let servers: Vec<_> = std::iter::once(number)
            .chain(others)
            .map(|n| format!("\"nats://10.99.0.{n}:4222\""))
            .collect();
        let scorer = format!(
            "[numbers]\nhome_country = 44\n[history]\nmib = 16\nsnapshot = {:?}\n\
             [profiles]\nmib = 8\n[lists]\nstore = {:?}\n[labels]\npath = {:?}\n\
             [metrics]\nlisten = {METRICS:?}\n\
             [cluster]\nservers = [{}]\nhost = {:?}\nsecret_file = {:?}\nspool = {:?}\nreplicas = {}\n",
            self.path("history"),
            self.path("lists.sqlite"),
            self.path("labels.sqlite"),
            servers.join(", "),
            self.name(),
            secret.display().to_string(),
            self.path("spool"),
            if count >= 3 { 3 } else { 1 },
        );
        std::fs::write(self.folder.join("scorer.toml"), scorer).expect("written");
        let routes: Vec<_> = (1..=count).map(|n| format!("\"nats://10.99.0.{n}:6222\"")).collect();
        let cluster = if count > 1 {
            format!(
                "cluster {{ name: edges, listen: \"10.99.0.{number}:6222\", ping_interval: \"1s\", \
                 routes: [{}] }}\n",
                routes.join(", ")
            )
        } else {
            String::new()
        };
        let nats = format!(
            "server_name: n{number}\nlisten: \"10.99.0.{number}:4222\"\nping_interval: \"2s\"\n\
             ping_max: 2\nwrite_deadline: \"2s\"\njetstream {{ store_dir: {:?} }}\n{cluster}",
            self.path("jetstream")
        );
        std::fs::write(self.folder.join("nats.conf"), nats).expect("written");
    }

    /// Starts its NATS server.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_nats(&mut self) {
        let mut command = enter(self.lab.edge_namespace(), &nats::server().expect("installed"));
        let log = File::create(self.folder.join("nats.log")).expect("a file");
        command.args(["-c", &self.path("nats.conf")]).stdin(Stdio::null()).stdout(Stdio::null());
        self.nats = Some(Running(command.stderr(log).spawn().expect("nats-server starts")));
    }

    /// Starts its scorer.
    ///
    /// # Panics
    /// When it does not.
    pub fn start(&mut self) {
        let more = ["--config", &self.path("scorer.toml")];
        self.tap = Some(scorer::tap(&self.lab, "generic", &self.folder, &more));
    }

    /// What its scorer said.
    pub fn words(&self) -> String {
        std::fs::read_to_string(self.folder.join("words.txt")).unwrap_or_default()
    }

    /// A message into its tapped interface.
    pub fn send(&self, text: &str) {
        self.lab.send(&[udp4(text.as_bytes(), 5060)]);
    }

    /// The verdict of one call.
    ///
    /// # Panics
    /// When there is none.
    pub fn call(&self, call: &Invite, id: &str) -> Value {
        self.send(&call.text(id));
        self.tap.as_ref().expect("it runs").verdict(id)
    }

    /// A command of `scorer` with its configuration, in its namespace; what it wrote.
    ///
    /// # Panics
    /// When it does not go well.
    pub fn must(&self, args: &[&str]) -> String {
        self.ask(args).unwrap_or_else(|words| panic!("{args:?}: {words}"))
    }

    /// The same; what it said where it does not go well.
    ///
    /// # Errors
    /// Its words.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn ask(&self, args: &[&str]) -> Result<String, String> {
        let mut command = self.lab.edge(scorer::binary());
        command.args(args).args(["--config", &self.path("scorer.toml")]);
        let output = command.output().expect("scorer runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }

    /// A metric of its scorer; 0 where there is none.
    pub fn metric(&self, name: &str) -> f64 {
        let text = inside(self.lab.edge_namespace(), || {
            let mut text = String::new();
            if let Ok(mut stream) = TcpStream::connect(METRICS) {
                let _ = stream.set_read_timeout(Some(Duration::from_secs(5)));
                let _ = stream
                    .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
                let _ = stream.read_to_string(&mut text);
            }
            text
        });
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.trim().parse().ok()).unwrap_or(0.0)
    }

    /// Facts by what became of them.
    pub fn facts(&self, what: &str) -> u64 {
        self.metric(&format!("scorer_cluster_facts_total{{what=\"{what}\"}}")) as u64
    }
}
