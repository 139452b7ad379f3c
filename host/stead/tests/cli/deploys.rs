//! `stead deploy` and `stead new`.

use std::path::{Path, PathBuf};

use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::{
    fake::{Fake, Prepared, Ran, stead},
    listings::deployed,
};

const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0 and more";

fn hash() -> String {
    Sha256::digest(COMPONENT).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A directory with a component and, perhaps, a manifest beside it.
fn project(manifest: Option<&str>) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("cart.wasm");
    std::fs::write(&path, COMPONENT).expect("written");
    if let Some(manifest) = manifest {
        std::fs::write(directory.path().join("entity.toml"), manifest).expect("written");
    }
    (directory, path)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

fn info() -> Prepared {
    let description = deployed(&hash()).get("description").cloned();
    Prepared::json(
        201,
        &json!({"component": hash(), "bytes": COMPONENT.len(), "description": description}),
    )
}

#[test]
fn a_component_is_uploaded_and_deployed_under_the_manifest_beside_it() {
    let (_directory, path) = project(Some("type = \"cart\"\nisolation = \"entity\"\n"));
    let fake = Fake::new([
        Prepared::problem(404, "unknown-type", &[]),
        info(),
        Prepared::json(200, &deployed(&hash())),
    ]);
    let ran = fake.run(&["deploy", text(&path)]);
    assert_eq!(ran.exit, 0, "{}", ran.error);
    assert_eq!(fake.lines(), ["GET /types/cart", "POST /components", "PUT /types/cart"]);
    let asked = fake.asked();
    assert_eq!(asked[1].body, COMPONENT);
    assert_eq!(asked[2].json()["component"], json!(hash()));
    assert_eq!(asked[2].json()["manifest"]["isolation"], json!("entity"));
    assert!(ran.out.contains("deployed cart version 3"), "{}", ran.out);
    assert!(ran.out.contains("commands: add-item"), "{}", ran.out);
    let curl = "/entities/cart/1/add-item";
    assert!(
        ran.out.contains("try: curl -H 'content-type: application/json' -d '{\"sku\":\"text\"}'"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains(curl), "{}", ran.out);
}

#[test]
fn what_is_deployed_already_is_not_sent_again() {
    let (_directory, path) = project(Some("type = \"cart\"\n"));
    let fake = Fake::new([
        Prepared::json(200, &deployed(&hash())),
        Prepared::json(200, &deployed(&hash())),
    ]);
    let ran = fake.run(&["deploy", text(&path)]);
    assert_eq!(ran.exit, 0, "{}", ran.error);
    assert!(ran.out.contains("deployed just so already"), "{}", ran.out);
    assert_eq!(fake.run(&["deploy", text(&path), "--json"]).json()["unchanged"], json!(true));
    assert_eq!(fake.lines(), ["GET /types/cart", "GET /types/cart"]);
}

#[test]
fn without_a_manifest_the_type_is_named_by_a_flag() {
    let (_directory, path) = project(None);
    let fake = Fake::new([]);
    let ran = fake.run(&["deploy", text(&path)]);
    assert_eq!((ran.exit, fake.asked().len()), (2, 0));
    assert!(ran.error.contains("--type"), "{}", ran.error);
    let fake = Fake::new([
        Prepared::json(200, &deployed(&"00".repeat(32))),
        info(),
        Prepared::json(200, &deployed(&hash())),
    ]);
    let ran = fake.run(&["deploy", text(&path), "--type", "cart"]);
    assert_eq!(ran.exit, 0, "{}", ran.error);
    assert_eq!(fake.asked()[2].json()["manifest"]["type"], json!("cart"));
}

#[test]
fn a_refusal_of_the_node_is_shown() {
    let (_directory, path) = project(Some("type = \"cart\"\n"));
    let refused =
        Prepared::problem(422, "component-refused", &[("detail", json!("It exports no entity."))]);
    let fake = Fake::new([Prepared::problem(404, "unknown-type", &[]), refused]);
    let ran = fake.run(&["deploy", text(&path)]);
    assert_eq!(ran.exit, 1);
    assert!(ran.error.contains("It exports no entity."), "{}", ran.error);
}

#[test]
fn files_that_are_no_components_are_not_sent() {
    let fake = Fake::new([]);
    for (contents, part) in
        [(&b"\0asm\x01\0\0\0"[..], "core WebAssembly module"), (b"hello", "no WebAssembly")]
    {
        let (_directory, path) = project(Some("type = \"cart\"\n"));
        std::fs::write(&path, contents).expect("written");
        let ran = fake.run(&["deploy", text(&path)]);
        assert_eq!((ran.exit, fake.asked().len()), (1, 0));
        assert!(ran.error.contains(part), "{}", ran.error);
    }
    assert_eq!(fake.run(&["deploy", "/nonexistent/x.wasm"]).exit, 5);
}

#[test]
fn a_slip_in_the_manifest_is_named_with_its_line() {
    let (directory, path) = project(Some("type = \"cart\"\nisolated = true\n"));
    let fake = Fake::new([]);
    let ran = fake.run(&["deploy", text(&path)]);
    assert_eq!((ran.exit, fake.asked().len()), (2, 0));
    let place = format!("{}:2: ", directory.path().join("entity.toml").display());
    assert!(ran.error.contains(&place), "{}", ran.error);
}

#[test]
fn a_new_project_is_made_once() {
    let directory = tempfile::tempdir().expect("a directory");
    let run = || {
        let output =
            stead(&["new", "shopping-cart", "--json"]).current_dir(directory.path()).output();
        Ran::of(output.expect("it runs"))
    };
    let made = run().json();
    assert_eq!((&made["name"], &made["path"]), (&json!("shopping-cart"), &json!("shopping-cart")));
    assert!(directory.path().join("shopping-cart/vendor/stead-sdk/Cargo.toml").is_file());
    let again = run();
    assert_eq!(again.exit, 1);
    assert!(
        again.error_json()["error"]["message"].as_str().is_some_and(|m| m.contains("not empty"))
    );
}
