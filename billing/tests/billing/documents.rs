//! `billing documents`: the PDFs of invoices in a folder.

use std::path::{Path, PathBuf};

use common::{
    invoice::InvoiceFilter,
    store::{PageRequest, Store},
};
use serde_json::Value;

use crate::{
    deployment::{Deployment, customer, stderr},
    issue::run,
};

/// A store with two invoices of November, and settings that name the program that typesets.
async fn invoiced() -> Deployment {
    let deployment = Deployment::new();
    deployment.write_settings("127.0.0.1:0");
    deployment.typeset_documents(60);
    let (store, root) = deployment.store().await;
    for name in ["Acme", "Globex"] {
        customer(&store, root, name, "UTC", "starter").await;
    }
    store.close().await;
    run(&deployment, &["--period", "2026-11", "--now", "2026-12-02T00:00:00Z"]).await;
    deployment
}

async fn documents(deployment: &Deployment, arguments: &[&str]) -> Value {
    let all = [&["documents", "out", "--config", "billing.yaml", "--output", "json"], arguments].concat();
    let output = deployment.run(&all).await;
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The files of a folder of folders, sorted.
fn files(folder: &Path) -> Vec<PathBuf> {
    let list = |path: &Path| std::fs::read_dir(path).into_iter().flatten().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = list(folder).flat_map(|issuer| list(&issuer).collect::<Vec<_>>()).collect();
    files.sort();
    files
}

#[tokio::test]
async fn every_invoice_of_a_time_becomes_a_file_and_another_run_the_same_bytes() {
    let deployment = invoiced().await;
    let store = Store::open(&deployment.url()).await.unwrap();
    let page = store.invoices(InvoiceFilter::default(), PageRequest { after: None, limit: 10 }).await.unwrap();
    store.close().await;
    assert_eq!(page.items.len(), 2);

    let nothing = documents(&deployment, &["--until", "2026-12-01T00:00:00Z"]).await;
    assert_eq!((nothing["documents"].as_u64(), files(&deployment.path("out")).len()), (Some(0), 0));
    let first = documents(&deployment, &["--from", "2026-12-01T00:00:00Z", "--processes", "2"]).await;
    assert_eq!((first["documents"].as_u64(), first["failed"].as_array().map(Vec::len)), (Some(2), Some(0)));
    let written = files(&deployment.path("out"));
    let mut wanted: Vec<PathBuf> = page
        .items
        .iter()
        .map(|invoice| {
            let file = format!("{}/{}.pdf", invoice.issuer, invoice.number);
            deployment.path("out").join(file)
        })
        .collect();
    wanted.sort();
    assert_eq!(written, wanted);
    let bytes: Vec<Vec<u8>> = written.iter().map(|file| std::fs::read(file).unwrap()).collect();
    assert!(bytes.iter().all(|pdf| pdf.starts_with(b"%PDF-")), "{written:?}");

    documents(&deployment, &[]).await;
    let again: Vec<Vec<u8>> = files(&deployment.path("out")).iter().map(|file| std::fs::read(file).unwrap()).collect();
    assert_eq!(again, bytes);
}

#[tokio::test]
async fn document_that_cannot_be_made_is_told_and_all_others_are_written() {
    let deployment = invoiced().await;
    // The invoices have no address, which the norm of electronic invoices asks for.
    let output = deployment.run(&["documents", "out", "--config", "billing.yaml", "--factur-x"]).await;
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("INV-000001") && said.contains("2 of the documents could not be made"), "{said}");
    assert_eq!(files(&deployment.path("out")), [] as [PathBuf; 0]);

    let without = deployment.run(&["documents", "out", "--store", &deployment.url()]).await;
    let said = stderr(&without);
    assert_eq!(without.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot be started") && said.contains("documents.program"), "{said}");
}
