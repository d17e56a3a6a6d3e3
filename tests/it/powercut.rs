//! Nothing that was confirmed is lost when the process is killed, or when power is.
//!
//! A child process churns on a store and tells what was confirmed. It is killed with SIGKILL at random moments; or it
//! runs on its own ext4 file system in a file, which is shut down without writing its journal (`EXT4_IOC_SHUTDOWN` with
//! `NOLOGFLUSH`, which loses everything that was not synced) and mounted again. The second needs root and loop devices:
//! where `CI=true` their absence is a failure, elsewhere it is said that the test was left out.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use daybridge::clock::SystemClock;
use daybridge::ledger::Ledger;
use daybridge::queue::{Queue, QueueSettings};
use daybridge::store::SledStore;
use daybridge_tests::churn::Told;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

const SEED: u64 = 20_261_124;
/// Rounds on one folder before the next begins on an empty one, so that creation is cut too.
const ROUNDS_PER_FOLDER: u32 = 5;
/// A sync can take long on a busy disk.
const LINE_LIMIT: Duration = Duration::from_secs(30);
const KILLS: u32 = 10;
const CUTS: u32 = 20;
/// Sparse: only what is written takes room.
const IMAGE_BYTES: u64 = 4 << 30;
/// Two segments of the store and the file system's own needs.
const SMALL_IMAGE_BYTES: u64 = 64 << 20;
const BALLAST_BYTES: usize = 24 << 20;

/// The churning child. Killed and waited for when dropped.
struct Churn {
    child: Child,
    lines: Receiver<String>,
    heard: u64,
}

impl Churn {
    fn start(folder: &Path) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_churn"))
            .arg(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("churn starts");
        let mut reader = BufReader::new(child.stdout.take().expect("its output"));
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            // Half a line at the end was never confirmed.
            while reader.read_line(&mut line).is_ok_and(|bytes| bytes > 0) && line.ends_with('\n') {
                if sender.send(line.trim_end().to_owned()).is_err() {
                    break;
                }
                line.clear();
            }
        });
        Self { child, lines, heard: 0 }
    }

    /// Takes in what the child tells until the moment has come.
    fn await_moment(&mut self, moment: &Moment, told: &mut Told) {
        for number in 0..moment.lines {
            let line = self.lines.recv_timeout(LINE_LIMIT);
            told.hear(&line.unwrap_or_else(|_| panic!("line {number} of the child: not within {LINE_LIMIT:?}")));
            self.heard += 1;
        }
        let begun = Instant::now();
        while let Ok(line) = self.lines.recv_timeout(moment.then.saturating_sub(begun.elapsed())) {
            told.hear(&line);
            self.heard += 1;
        }
    }

    /// Takes in what the child tells until it ends by itself; returns its exit code and its last words.
    fn until_it_ends(&mut self, told: &mut Told) -> (Option<i32>, String) {
        loop {
            match self.lines.recv_timeout(LINE_LIMIT) {
                Ok(line) => told.hear(&line),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("the child neither tells nor ends within {LINE_LIMIT:?}"),
            }
        }
        let mut words = String::new();
        self.child.stderr.take().expect("its errors").read_to_string(&mut words).expect("they can be read");
        (self.child.wait().expect("it ended").code(), words)
    }

    /// Kills the child, takes in the rest of what it told, and returns how many lines there were.
    fn end(mut self, told: &mut Told) -> u64 {
        self.kill();
        for line in self.lines.iter() {
            told.hear(&line);
            self.heard += 1;
        }
        self.heard
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Churn {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Opens what the round left and compares.
fn check(folder: &Path, told: &Told) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let store = match SledStore::open(folder) {
            Ok(store) => Arc::new(store),
            Err(error) => return vec![format!("the store does not open: {error}")],
        };
        let queue = Queue::open(store.clone(), Arc::new(SystemClock), QueueSettings::default()).await;
        let ledger = Ledger::open(store).await;
        match (queue, ledger) {
            (Ok(queue), Ok(ledger)) => told.check(&queue, &ledger).await,
            (queue, ledger) => vec![format!("does not open: {:?} {:?}", queue.err(), ledger.err())],
        }
    })
}

/// When to end a round: so long after so many lines were told.
#[derive(Debug)]
struct Moment {
    lines: usize,
    then: Duration,
}

impl Moment {
    /// One in five while the store is still being opened, the others in full churn.
    fn random(random: &mut StdRng) -> Self {
        if random.random_bool(0.2) {
            Self { lines: 0, then: Duration::from_micros(random.random_range(0..60_000)) }
        } else {
            Self { lines: random.random_range(10..200), then: Duration::from_micros(random.random_range(0..20_000)) }
        }
    }
}

/// Plays rounds on folders below `parent`. `play` churns on a folder until the given moment, ends it, makes the folder
/// readable again, and returns how many lines were told.
fn rounds(parent: &Path, count: u32, mut play: impl FnMut(&Path, &Moment, &mut Told) -> u64) {
    println!("seed {SEED}");
    let mut random = StdRng::seed_from_u64(SEED);
    let mut told = Told::default();
    for round in 0..count {
        let folder = parent.join(format!("data-{}", round / ROUNDS_PER_FOLDER));
        if round % ROUNDS_PER_FOLDER == 0 {
            told = Told::default();
            if let Some(old) = round.checked_sub(1) {
                std::fs::remove_dir_all(parent.join(format!("data-{}", old / ROUNDS_PER_FOLDER)))
                    .expect("old folder goes");
            }
        }
        let moment = Moment::random(&mut random);
        let lines = play(&folder, &moment, &mut told);
        let wrong = check(&folder, &told);
        println!("round {round}: {moment:?}, {lines} lines, fed {}, {} wrong", told.fed, wrong.len());
        assert!(wrong.is_empty(), "round {round}: {}", wrong.join("; "));
    }
}

#[test]
fn nothing_confirmed_is_lost_when_the_process_is_killed() {
    let parent = tempfile::tempdir().expect("a folder");
    rounds(parent.path(), KILLS, |folder, moment, told| {
        let mut churn = Churn::start(folder);
        churn.await_moment(moment, told);
        churn.end(told)
    });
}

#[test]
fn nothing_confirmed_is_lost_when_power_is() {
    let Some(disk) = Disk::if_possible(IMAGE_BYTES) else { return };
    disk.mount().expect("the image mounts");
    rounds(&disk.mount_point(), CUTS, |folder, moment, told| {
        let switch = Switch::ready(&disk.mount_point());
        let mut churn = Churn::start(folder);
        churn.await_moment(moment, told);
        switch.cut();
        let lines = churn.end(told);
        disk.unmount().expect("the image unmounts");
        disk.mount().expect("the image mounts again and its journal is replayed");
        lines
    });
}

#[test]
fn nothing_confirmed_is_lost_when_the_disk_is_full() {
    let Some(disk) = Disk::if_possible(SMALL_IMAGE_BYTES) else { return };
    disk.mount().expect("the image mounts");
    let (ballast, folder) = (disk.mount_point().join("ballast"), disk.mount_point().join("data"));
    std::fs::write(&ballast, vec![1; BALLAST_BYTES]).expect("ballast fits");
    let mut told = Told::default();
    let mut churn = Churn::start(&folder);
    let (code, words) = churn.until_it_ends(&mut told);
    println!("{} numbers were fed before the disk was full", told.fed);
    assert_eq!(code, Some(1), "the store's failure ends the program, which neither dies nor goes on: {words}");
    assert!(words.contains("No space left"), "{words}");
    assert!(told.fed > 0);
    std::fs::remove_file(&ballast).expect("ballast goes");
    let wrong = check(&folder, &told);
    assert!(wrong.is_empty(), "{}", wrong.join("; "));
}

/// An ext4 file system in a file, unmounted when dropped.
struct Disk {
    folder: tempfile::TempDir,
}

impl Disk {
    /// None, and a word about it, where there is no root or no loop device.
    fn if_possible(bytes: u64) -> Option<Self> {
        match Self::new(bytes) {
            Ok(disk) => Some(disk),
            Err(reason) => {
                assert!(std::env::var("CI").as_deref() != Ok("true"), "no file system of our own here: {reason}");
                println!("left out: no file system of our own here: {reason}");
                None
            }
        }
    }

    fn new(bytes: u64) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
        let disk = Self { folder };
        std::fs::File::create(disk.image()).and_then(|file| file.set_len(bytes)).map_err(|error| error.to_string())?;
        std::fs::create_dir(disk.mount_point()).map_err(|error| error.to_string())?;
        run("mkfs.ext4", &["-q".as_ref(), "-F".as_ref(), disk.image().as_os_str()])?;
        disk.mount()?;
        disk.unmount()?;
        run("python3", &["--version".as_ref()])?;
        Ok(disk)
    }

    fn image(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    fn mount_point(&self) -> PathBuf {
        self.folder.path().join("mounted")
    }

    fn mount(&self) -> Result<(), String> {
        run("mount", &["-o".as_ref(), "loop".as_ref(), self.image().as_os_str(), self.mount_point().as_os_str()])
    }

    /// Also frees the loop device, which `mount -o loop` set to free itself.
    fn unmount(&self) -> Result<(), String> {
        run("umount", &[self.mount_point().as_os_str()])
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.unmount().is_err() {
            // Somebody still has a file open: the file system goes when they end. Not mounted at all is fine too.
            let _ = run("umount", &["-l".as_ref(), self.mount_point().as_os_str()]);
        }
    }
}

fn run(program: &str, arguments: &[&std::ffi::OsStr]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

/// A process that holds the file system open and shuts it down at a word: the call itself is made without delay.
struct Switch {
    child: Child,
    input: ChildStdin,
}

impl Switch {
    fn ready(mount_point: &Path) -> Self {
        // EXT4_IOC_SHUTDOWN = _IOR('X', 125, __u32), EXT4_GOING_FLAGS_NOLOGFLUSH = 2 (include/uapi/linux/ext4.h).
        let program = "import fcntl, os, struct, sys\n\
            fd = os.open(sys.argv[1], os.O_RDONLY)\n\
            print('ready', flush=True)\n\
            sys.stdin.readline()\n\
            fcntl.ioctl(fd, 0x8004587D, struct.pack('I', 2))\n";
        let mut child = Command::new("python3")
            .args(["-c", program])
            .arg(mount_point)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("its output")).read_line(&mut line).expect("it is ready");
        assert_eq!(line.trim(), "ready");
        let input = child.stdin.take().expect("its input");
        Self { child, input }
    }

    fn cut(mut self) {
        self.input.write_all(b"cut\n").expect("it listens");
        let status = self.child.wait().expect("it ends");
        assert!(status.success(), "the file system was not shut down");
    }
}
