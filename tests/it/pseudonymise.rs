//! `riskstrat pseudonymise`, as the sending body starts it.

use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::common::{ended, files_under, program, write};

const KEY: &str = "KEYKEYKEY-0123456789-0123456789-KEYKEYKEY";

/// A sender's folder, with a key and a file of three people.
struct Sender {
    folder: tempfile::TempDir,
}

impl Sender {
    fn new() -> Sender {
        let sender = Sender { folder: tempfile::tempdir().unwrap() };
        sender.put_key(KEY, 0o600);
        let rows =
            "event,nhs_number,code,note\r\n1,943 476 5919,E11,\"a, b\"\r\n2,9876543210,I10,\r\n3,9434765919,J45,x\r\n";
        write(&sender.path("in.csv"), rows);
        sender
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put_key(&self, key: &str, mode: u32) {
        write(&self.path("key.txt"), format!("{key}\n"));
        set_mode(&self.path("key.txt"), mode);
    }

    fn pseudonymise(&self, more: &[&str]) -> (Option<i32>, String) {
        let mut program = program();
        program.current_dir(self.folder.path()).args(["pseudonymise", "in.csv", "--out", "out.csv"]);
        let output = program.args(["--key-file", "key.txt"]).args(more).output().unwrap();
        let (code, said) = ended(&output);
        assert!(!said.contains("KEYKEY"), "the key is never said: {said}");
        for (name, bytes) in files_under(self.folder.path()) {
            let holds_key = bytes.windows(6).any(|window| window == b"KEYKEY");
            assert!(!holds_key || name == "key.txt", "the key is in {name}");
        }
        (code, said)
    }

    fn out(&self) -> String {
        std::fs::read_to_string(self.path("out.csv")).unwrap()
    }
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(not(unix))]
fn set_mode(_: &Path, _: u32) {}

fn hmac_of(text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(KEY.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn numbers_become_pseudonyms_and_all_else_stays() {
    let sender = Sender::new();
    let (code, said) = sender.pseudonymise(&["--nhs-number", "nhs_number", "--drop", "note"]);
    assert_eq!(code, Some(0), "{said}");
    let (one, two) = (hmac_of("9434765919"), hmac_of("9876543210"));
    assert_eq!(sender.out(), format!("event,person_id,code\n1,{one},E11\n2,{two},I10\n3,{one},J45\n"));
    assert!(said.contains("3 rows: 3 pseudonymised"), "{said}");
}

#[test]
fn fields_are_taken_in_the_order_of_their_names() {
    let sender = Sender::new();
    write(&sender.path("in.csv"), "nhs_no,born\n943 476 5919,29.11.1973\n");
    let fields = ["--nhs-number", "nhs_no=NHSNumber", "--column", "born=DOB"];
    let (code, said) = sender.pseudonymise(&[&fields[..], &["--method", "openpseudonymiser"]].concat());
    assert_eq!(code, Some(0), "{said}");
    let digest = sha2::Digest::finalize(sha2::Digest::chain_update(
        <Sha256 as sha2::Digest>::new(),
        format!("29.11.19739434765919{KEY}"),
    ));
    let digest: String = digest.iter().map(|byte: &u8| format!("{byte:02x}")).collect();
    assert_eq!(sender.out(), format!("person_id\n{digest}\n"));
}

#[test]
fn rows_without_a_valid_number_are_counted_and_stop_drop_or_stay() {
    let rows = "id,nhs_number\n1,9434765919\n2,9434765918\n3,\n4,9876543210\n";
    let choose = |more: &[&str]| {
        let sender = Sender::new();
        write(&sender.path("in.csv"), rows);
        let (code, said) = sender.pseudonymise(&[&["--nhs-number", "nhs_number"], more].concat());
        (sender, code, said)
    };
    let (sender, code, said) = choose(&[]);
    assert_eq!(code, Some(4));
    assert!(
        said.contains("2 of 4 rows have no pseudonym: 1 lack a value, 1 have no valid NHS number (first at row 3, 4)"),
        "{said}"
    );
    assert!(!said.contains("94347"), "{said}");
    assert_eq!(files_under(sender.folder.path()).len(), 2, "nothing is written");
    let (one, two) = (hmac_of("9434765919"), hmac_of("9876543210"));
    let (sender, code, said) = choose(&["--invalid", "drop"]);
    assert_eq!((code, sender.out()), (Some(0), format!("id,person_id\n1,{one}\n4,{two}\n")));
    assert!(said.contains("2 left out: 1 lack a value, 1 have no valid NHS number"), "{said}");
    let (sender, code, _) = choose(&["--invalid", "blank"]);
    assert_eq!((code, sender.out()), (Some(0), format!("id,person_id\n1,{one}\n2,\n3,\n4,{two}\n")));
}

#[test]
fn a_column_that_would_leave_and_looks_like_an_identifier_is_refused() {
    let sender = Sender::new();
    write(&sender.path("in.csv"), "nhs_number,Surname\n9434765919,Smith\n9876543210,Jones\n");
    let (code, said) = sender.pseudonymise(&["--nhs-number", "nhs_number"]);
    assert_eq!(code, Some(4));
    assert!(said.contains("in.csv: column \"Surname\": the column holds names"), "{said}");
    assert!(said.contains("--drop COLUMN leaves it out"), "{said}");
    assert_eq!(sender.pseudonymise(&["--nhs-number", "nhs_number", "--keep", "Surname"]).0, Some(0));
    assert!(sender.out().contains(",Smith\n"));
}

#[test]
fn a_key_that_others_may_read_or_that_is_short_is_refused() {
    let sender = Sender::new();
    let fields = ["--nhs-number", "nhs_number", "--drop", "note"];
    if cfg!(unix) {
        for mode in [0o640, 0o604, 0o660] {
            sender.put_key(KEY, mode);
            let (code, said) = sender.pseudonymise(&fields);
            assert_eq!(code, Some(4), "{mode:o}");
            assert!(
                said.contains("may be read or written by others than its owner") && said.contains("chmod 600"),
                "{said}"
            );
        }
    }
    sender.put_key("KEYKEY", 0o600);
    let (code, said) = sender.pseudonymise(&fields);
    assert_eq!(code, Some(4));
    assert!(said.contains("fewer than 32 bytes"), "{said}");
    assert!(!sender.path("out.csv").exists());
}

#[test]
fn what_cannot_be_done_is_said_and_nothing_is_left() {
    let sender = Sender::new();
    let (code, said) = sender.pseudonymise(&["--nhs-number", "nhs_nubmer"]);
    assert_eq!(code, Some(4));
    assert!(said.contains("in.csv: no column \"nhs_nubmer\" (the nearest is \"nhs_number\")"), "{said}");
    let (code, said) = sender.pseudonymise(&[]);
    assert_eq!(code, Some(4));
    assert!(said.contains("no column is named"), "{said}");
    let (code, said) = sender.pseudonymise(&["--nhs-number", "nhs_number", "--into", "code"]);
    assert_eq!(code, Some(4));
    assert!(said.contains("a column \"code\" is there already"), "{said}");
    write(&sender.path("in.csv"), "nhs_number,code\n9434765919,E11\n9876543210\n");
    let (code, said) = sender.pseudonymise(&["--nhs-number", "nhs_number"]);
    assert_eq!(code, Some(4));
    assert!(said.contains("failed to read in.csv"), "{said}");
    assert_eq!(files_under(sender.folder.path()).len(), 2);
    write(&sender.path("out.csv"), "mine");
    let (code, said) = sender.pseudonymise(&["--nhs-number", "nhs_number"]);
    assert_eq!((code, sender.out().as_str()), (Some(5), "mine"), "{said}");
}
