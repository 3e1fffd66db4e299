//! sqlx notices changed migrations, not new ones.
fn main() {
    println!("cargo:rerun-if-changed=src/storage/migrations");
}
