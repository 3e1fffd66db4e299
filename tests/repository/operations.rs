//! The table of operations as a reader sees it: README's table, and a grid of who may do what.
//!
//! Both are rendered from `Operation` and compared with the committed files, so that a widened right is a changed
//! character in a review. A failing test writes the current form to the build directory.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use countersign::access::operation::{Kind, MemberRight, Operation, ServiceRight};
use countersign::access::scope::{Scope, ScopeSet};
use countersign::access::workflow::{Permission, Permissions, Workflow};
use countersign::access::{Rights, permit};

use crate::source::read;

const BEGIN: &str = "<!-- operations: rendered from src/access/operation.rs -->\n";
const END: &str = "<!-- end of operations -->";

#[test]
fn the_readme_has_the_table_of_operations() {
    let readme = read("README.md");
    assert_current("the table in README.md", section(&readme), &readme_table(), "operations.md");
}

#[test]
fn the_grid_of_rights_is_as_reviewed() {
    assert_current("tests/repository/scopes.txt", &read("tests/repository/scopes.txt"), &grid(), "scopes.txt");
}

#[track_caller]
fn assert_current(what: &str, committed: &str, present: &str, file: &str) {
    if let Some(difference) = first_difference(committed, present) {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
        fs::write(&path, present).expect("the build folder can be written");
        panic!(
            "{what} differs at {difference}\nThe present form is in {}: look at it, then take it over.",
            path.display()
        );
    }
}

fn first_difference(committed: &str, present: &str) -> Option<String> {
    let (mut ours, mut theirs) = (committed.lines(), present.lines());
    loop {
        match (ours.next(), theirs.next()) {
            (None, None) => return None,
            (a, b) if a == b => {}
            (a, b) => return Some(format!("\n  committed {}\n  present   {}", a.unwrap_or(""), b.unwrap_or(""))),
        }
    }
}

fn section(readme: &str) -> &str {
    let after = readme.split_once(BEGIN).map_or("", |(_, after)| after);
    after.split_once(END).map_or("", |(section, _)| section)
}

fn readme_table() -> String {
    let mut table =
        String::from("| Name | | Service User's scope | Member's permission | Venue |\n|---|---|---|---|---|\n");
    for operation in Operation::ALL {
        let row = operation.row();
        let kind = match row.kind {
            Kind::Read => "reads",
            Kind::Write => "acts",
            Kind::Stream => "channel",
        };
        let (service_user, member) = match row.public {
            true => ("anybody".into(), "anybody".into()),
            false => (service_text(row.service_user), member_text(row.member)),
        };
        let venue = if row.venue { "yes" } else { "" };
        writeln!(table, "| `{}` | {kind} | {service_user} | {member} | {venue} |", row.name).expect("text grows");
    }
    table
}

fn service_text(right: ServiceRight) -> String {
    match right {
        ServiceRight::No => String::new(),
        ServiceRight::Any => "any key".into(),
        ServiceRight::Scopes(scopes) => scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(" or "),
    }
}

fn member_text(right: MemberRight) -> String {
    match right {
        MemberRight::No => String::new(),
        MemberRight::Any => "any Member".into(),
        MemberRight::Acting => "as the workflow of the judging policy says".into(),
        MemberRight::Holds(workflow, permission) => format!("{}: {}", workflow.name(), permission.name()),
        MemberRight::HoldsAny(workflows, permission) => {
            let names: Vec<&str> = workflows.iter().map(|workflow| workflow.name()).collect();
            format!("{}: {}", names.join(" or "), permission.name())
        }
    }
}

/// One row an operation, one column a principal that holds exactly one thing; `x` where admitted.
fn grid() -> String {
    let mut grid =
        String::from("Who may call what, as permit() answers. One column a principal, holding only what it says.\n\n");
    let columns = columns();
    for (at, (name, _)) in columns.iter().enumerate() {
        writeln!(grid, "{}{name}", "| ".repeat(at)).expect("text grows");
    }
    for operation in Operation::ALL {
        let marks = columns.iter().map(|(_, holder)| if holder.admits(operation) { "x" } else { "." });
        writeln!(grid, "{} {}", marks.collect::<Vec<_>>().join(" "), operation.name()).expect("text grows");
    }
    grid
}

enum Holder {
    Public,
    Key(ScopeSet),
    Member(Permissions, bool),
    Venue,
}

impl Holder {
    fn admits(&self, operation: Operation) -> bool {
        let rights = match self {
            Holder::Public => Rights::Public,
            Holder::Key(scopes) => Rights::ServiceUser(*scopes),
            Holder::Member(permissions, verified) => Rights::Member { permissions, verified: *verified },
            Holder::Venue => Rights::Venue,
        };
        permit(rights, operation)
    }
}

fn columns() -> Vec<(String, Holder)> {
    let mut columns = vec![
        ("a bare socket".to_owned(), Holder::Public),
        ("a key without scopes".to_owned(), Holder::Key(ScopeSet::NONE)),
    ];
    columns.extend(Scope::ALL.map(|scope| (format!("key: {}", scope.name()), Holder::Key(ScopeSet::of(&[scope])))));
    columns.push(("a key with all scopes".to_owned(), Holder::Key(ScopeSet::ALL)));
    columns.push(("a Member without permissions".to_owned(), Holder::Member(Permissions::none(), true)));
    for workflow in Workflow::ALL {
        for permission in Permission::ALL {
            let mut permissions = Permissions::none();
            permissions.grant(workflow, permission);
            let name = format!("Member: {} {}", workflow.name(), permission.name());
            columns.push((name, Holder::Member(permissions, true)));
        }
    }
    columns.push((
        "a Member with all permissions, KYC not verified".to_owned(),
        Holder::Member(Permissions::all(), false),
    ));
    columns.push(("a venue operator".to_owned(), Holder::Venue));
    columns
}

#[test]
fn a_difference_is_found_wherever_it_is() {
    assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
    assert!(first_difference("a\nb\n", "a\nc\n").is_some());
    assert!(first_difference("a\n", "a\nb\n").is_some());
    assert!(first_difference("a\nb\n", "a\n").is_some());
    assert_eq!(section("no table"), "");
    assert_eq!(section(&format!("x{BEGIN}rows\n{END}y")), "rows\n");
}
