//! Small file systems that really fail, each mounted for one test: as root, with `mount` and loop devices.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Bytes of a disk with ext4 on it.
const IMAGE_BYTES: usize = 64 << 20;

/// A mounted file system, unmounted when dropped.
pub struct Volume {
    at: PathBuf,
}

impl Volume {
    /// One in memory that has room for so many bytes.
    pub fn in_memory(at: &Path, bytes: usize) -> Volume {
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "none"]).arg(at));
        Volume { at: at.to_owned() }
    }

    /// Ext4 in an image, which turns read-only at the first error that it finds in itself.
    fn of(image: &Path, at: &Path) -> Volume {
        run(Command::new("mount").args(["-t", "ext4", "-o", "loop,errors=remount-ro"]).args([image, at]));
        Volume { at: at.to_owned() }
    }

    /// Leaves no byte free.
    pub fn fill(&self) {
        let mut ballast = File::create(self.at.join("ballast")).unwrap();
        while ballast.write_all(&[0; 4_096]).is_ok() {}
    }

    pub fn free(&self) {
        fs::remove_file(self.at.join("ballast")).unwrap();
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.at).status();
    }
}

/// A disk with ext4 on it, which is an image in a file system of its own.
pub struct Device {
    mounted: Volume,
    /// Contains the image and can be filled: then writes to unused parts of the disk fail.
    backing: Volume,
    dir: tempfile::TempDir,
}

impl Device {
    /// One mounted on `at`.
    pub fn mount(at: &Path) -> Device {
        let dir = tempfile::tempdir().unwrap();
        let backing = dir.path().join("backing");
        fs::create_dir(&backing).unwrap();
        let backing = Volume::in_memory(&backing, IMAGE_BYTES + (1 << 20));
        let image = backing.at.join("image");
        File::create(&image).unwrap().set_len(IMAGE_BYTES as u64).unwrap();
        run(Command::new("mkfs.ext4").args(["-q", "-b", "4096"]).arg(&image));
        // Allocate every block of the image, including those of the file system's own journal.
        run(Command::new("fallocate").args(["--length", &IMAGE_BYTES.to_string()]).arg(&image));
        let device = Device { mounted: Volume::of(&image, at), backing, dir };
        // A loop device reports a write as done even if only its first pages were: make it write single pages.
        fs::write(format!("/sys/block/{}/queue/max_sectors_kb", device.name()), "4").unwrap();
        device
    }

    /// Gives a file so many zeros more, on the disk.
    pub fn grow(&self, name: &str, bytes: usize) {
        let mut file = File::options().append(true).open(self.mounted.at.join(name)).unwrap();
        file.write_all(&vec![0; bytes]).unwrap();
        file.sync_all().unwrap();
    }

    /// From now on the disk fails to write where no file was yet: growing files cannot be synced.
    pub fn fail(&self) {
        // It reports earlier failures, too, which are known.
        let _ = Command::new("sync").arg("--file-system").arg(&self.mounted.at).output();
        run(Command::new("fstrim").arg(&self.mounted.at));
        self.backing.fill();
    }

    /// The disk works again.
    pub fn mend(&self) {
        self.backing.free();
    }

    /// The file system finds an error in itself and turns read-only under its open files.
    pub fn turn_read_only(&self) {
        fs::write(format!("/sys/fs/ext4/{}/trigger_fs_error", self.name()), "1").unwrap();
    }

    /// What the system calls it.
    fn name(&self) -> String {
        let mounts = fs::read_to_string("/proc/mounts").unwrap();
        let mut mounts = mounts.lines().filter_map(|line| line.split_once(' '));
        let at = format!("{} ", self.mounted.at.display());
        let (device, _) = mounts.find(|(_, rest)| rest.starts_with(&at)).expect("it is mounted");
        device.rsplit('/').next().unwrap_or_default().to_owned()
    }

    /// What the disk has at this moment, as after a power cut: without what was written but never synced.
    pub fn cut_power(&self) -> PathBuf {
        let copies = fs::read_dir(self.dir.path()).unwrap().count();
        let copy = self.dir.path().join(format!("cut {copies}"));
        fs::copy(self.backing.at.join("image"), &copy).unwrap();
        copy
    }

    /// Mounts such a copy in place of the disk, checked as at a boot.
    pub fn boot(&self, copy: &Path) -> Volume {
        let checked = Command::new("e2fsck").arg("-fy").arg(copy).output().expect("install e2fsprogs");
        assert!(checked.status.code().is_some_and(|code| code < 4), "{}", String::from_utf8_lossy(&checked.stdout));
        Volume::of(copy, &self.mounted.at)
    }
}

fn run(command: &mut Command) {
    let ran = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}: install mount and e2fsprogs"));
    let why = String::from_utf8_lossy(&ran.stderr);
    assert!(ran.status.success(), "{command:?}: {why}: file systems are mounted here: run this suite as root");
}
