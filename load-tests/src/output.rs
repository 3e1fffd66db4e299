//! The program's output: files that are written completely or not at all, and text on the standard streams, which may
//! be full or closed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::error::LoadError;

/// Mode of a file that everybody may read, subject to the umask.
pub const FOR_ALL: u32 = 0o666;
/// Mode of a file that only its owner may read.
pub const FOR_OWNER: u32 = 0o600;

/// Checks before a run whether its result can be saved. An existing file stays for now, and a run without a result
/// leaves nothing.
///
/// # Errors
/// It cannot.
pub fn writable(path: &Path) -> Result<(), LoadError> {
    let tried = || match replaceable(path) {
        Some(file) => {
            if file.exists() {
                OpenOptions::new().append(true).open(&file)?;
            }
            fs::remove_file(create_beside(&file, FOR_OWNER)?.0)
        }
        None => {
            let is_new = !path.exists();
            OpenOptions::new().append(true).create(true).open(path)?;
            if is_new { fs::remove_file(fs::canonicalize(path)?) } else { Ok(()) }
        }
    };
    tried().map_err(LoadError::io(format!("write {}", path.display())))
}

/// Replaces a whole file atomically: readers see the old one or the new one, even if the disk is full. Anything but a
/// file, such as a pipe, is written to directly.
///
/// # Errors
/// It cannot be written; then the file is unchanged.
pub fn write(path: &Path, text: &str, mode: u32) -> Result<(), LoadError> {
    let written = || match replaceable(path) {
        Some(file) => {
            // No more users may read it than could read the old file.
            let mode = fs::metadata(&file).map_or(mode, |old| old.permissions().mode() & mode);
            let (fresh, mut opened) = create_beside(&file, mode)?;
            let filled = opened.write_all(text.as_bytes()).and_then(|()| opened.sync_all());
            let replaced = filled.and_then(|()| fs::rename(&fresh, &file));
            if replaced.is_err() {
                // Half a file is useless. If it cannot be removed either, the first error is the one to report.
                let _ = fs::remove_file(&fresh);
            }
            replaced
        }
        None => {
            let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(path);
            opened?.write_all(text.as_bytes())
        }
    };
    written().map_err(LoadError::io(format!("write {}", path.display())))
}

/// Whether both paths lead to the same file, which may not exist yet.
pub fn is_same_file(one: &Path, other: &Path) -> bool {
    place(one).is_some_and(|one| place(other) == Some(one))
}

/// Where a path leads; `None` if it can lead nowhere.
fn place(path: &Path) -> Option<PathBuf> {
    let new = || Some(fs::canonicalize(std::path::absolute(path).ok()?.parent()?).ok()?.join(path.file_name()?));
    fs::canonicalize(path).ok().or_else(new)
}

/// Prints to standard output.
///
/// # Errors
/// The stream cannot be written to.
pub fn print(text: &str) -> Result<(), LoadError> {
    let mut output = io::stdout();
    let printed = output.write_all(text.as_bytes()).and_then(|()| output.flush());
    printed.map_err(LoadError::io("write to standard output"))
}

/// Prints a line on standard error. If that fails, there is nobody to tell.
pub fn print_line(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// Creates something under the first free name of several, which are numbered from 1.
///
/// # Errors
/// It cannot be made, for another reason than its name.
pub fn under_a_free_name<T>(make: impl Fn(u32) -> io::Result<T>) -> io::Result<T> {
    let made = (1..).map(make).find(|made| !matches!(made, Err(error) if error.kind() == ErrorKind::AlreadyExists));
    made.expect("the numbers do not end")
}

/// The file to be replaced: where links lead, or a new one. `None` if it is not a file.
fn replaceable(path: &Path) -> Option<PathBuf> {
    match fs::canonicalize(path) {
        Ok(found) => found.is_file().then_some(found),
        // A link to a file that does not exist yet stays as well.
        Err(_) => (!path.is_symlink()).then(|| path.to_owned()),
    }
}

/// A new file next to another one, on the same disk.
fn create_beside(file: &Path, mode: u32) -> io::Result<(PathBuf, File)> {
    let name = file.file_name().ok_or(ErrorKind::InvalidInput)?.to_string_lossy();
    under_a_free_name(|number| {
        let fresh = file.with_file_name(format!("{name}.{number}.new"));
        let opened = OpenOptions::new().write(true).create_new(true).mode(mode).open(&fresh)?;
        Ok((fresh, opened))
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;
    use crate::children::RunDirectory;

    fn directory() -> RunDirectory {
        RunDirectory::create(&std::env::temp_dir().join("load-tests-output")).unwrap()
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_written_where_a_link_leads_and_what_others_have_beside_it_stays() {
        let directory = directory();
        let at = |name: &str| directory.path().join(name);
        for (link, file) in [("there", "old"), ("nowhere", "new")] {
            symlink(file, at(link)).unwrap();
        }
        for taken in ["old", "old.1.new", "old.new"] {
            fs::write(at(taken), "a stranger's").unwrap();
        }
        for link in ["there", "nowhere"] {
            writable(&at(link)).unwrap();
            assert_eq!(at(link).exists(), link == "there", "trying leaves nothing");
            write(&at(link), "told", FOR_OWNER).unwrap();
            assert!(at(link).is_symlink() && fs::read_to_string(at(link)).unwrap() == "told", "{link}");
            assert_eq!(fs::metadata(at(link)).unwrap().permissions().mode() & 0o777, FOR_OWNER);
        }
        for taken in ["old.1.new", "old.new"] {
            assert_eq!(fs::read_to_string(at(taken)).unwrap(), "a stranger's");
        }
        assert_eq!(names(directory.path()), ["new", "nowhere", "old", "old.1.new", "old.new", "there"]);
    }

    #[test]
    fn a_file_is_the_same_by_whatever_path_also_before_it_is_there() {
        let directory = directory();
        let (file, other) = (directory.path().join("file"), directory.path().join("./file"));
        for _ in ["before", "after"] {
            assert!(is_same_file(&file, &other) && !is_same_file(&file, &directory.path().join("another")));
            fs::write(&file, "").unwrap();
        }
        assert!(!is_same_file(Path::new("/no/such/directory/file"), Path::new("/no/such/directory/file")));
    }

    #[test]
    fn what_is_no_file_is_written_to_and_not_replaced() {
        write(Path::new("/dev/null"), "told", FOR_OWNER).unwrap();
        assert!(!Path::new("/dev/null").is_file());
        for wrong in ["/dev/full", "/no/such/directory/file", "/"] {
            assert!(write(Path::new(wrong), "told", FOR_OWNER).is_err(), "{wrong}");
        }
    }
}
