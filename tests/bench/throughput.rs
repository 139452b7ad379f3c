//! Clients that send one command after the other.

use std::path::Path;

use crate::{
    Extent,
    figures::{Figure, median, range},
    load::{ledger, number, record},
};

/// One client beside bare `fdatasync` on the same disk.
pub async fn one_client(directory: &Path, extent: Extent) -> Vec<Figure> {
    let node = ledger(&directory.join("data"), &[]).await;
    let bare = directory.to_string_lossy().into_owned();
    let seconds = format!("{}s", extent.slice_s);
    let (mut commands, mut syncs, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..extent.slices {
        let arguments = ["--clients", "1", "--entities", "1000", "--warmup", "300ms"];
        let rest = ["--duration", &seconds, "--baseline-fsync", &bare];
        let result = record(&node, &[&arguments[..], &rest[..]].concat()).await;
        let command = number(&result, "/bench/latency/p50-us");
        let sync = number(&result, "/baseline-fsync/overwrite/latency/p50-us");
        ratios.push(command / sync);
        commands.push(command);
        syncs.push(sync);
    }
    let ratio = median(&ratios);
    let figure = Figure::new(
        "one client, a durable command",
        format!("p50 {:.0} µs: {ratio:.2} × ({})", median(&commands), range(&ratios)),
    );
    vec![
        figure
            .beside(format!("`fdatasync` of 4 KiB, p50 {:.0} µs", median(&syncs)))
            .budget("≤ 1.25 ×", ratio <= 1.25),
    ]
}

/// Many clients and entities beside an echo by bare axum.
pub async fn many_clients(directory: &Path, extent: Extent) -> Vec<Figure> {
    let node = ledger(&directory.join("data"), &[]).await;
    let seconds = format!("{}s", extent.slice_s);
    let (mut own, mut echo, mut ratios, mut p99) = (vec![], vec![], vec![], vec![]);
    for _ in 0..extent.slices {
        let arguments = ["--clients", "256", "--entities", "10000", "--warmup", "1s"];
        let rest = ["--duration", &seconds, "--baseline-axum"];
        let result = record(&node, &[&arguments[..], &rest[..]].concat()).await;
        let (of_node, of_axum) =
            (number(&result, "/bench/per-second"), number(&result, "/baseline-axum/per-second"));
        ratios.push(of_node / of_axum);
        own.push(of_node);
        echo.push(of_axum);
        p99.push(number(&result, "/bench/latency/p99-us") / 1e3);
    }
    let ratio = median(&ratios);
    let figure = Figure::new(
        "256 clients, 10,000 entities, durable",
        format!(
            "{:.0} a second, p99 {:.1} ms: {ratio:.2} × ({})",
            median(&own),
            median(&p99),
            range(&ratios)
        ),
    );
    vec![
        figure
            .beside(format!("axum echo, {:.0} a second", median(&echo)))
            .budget("≥ 0.40 ×", ratio >= 0.40),
    ]
}

/// One entity that all ask for.
pub async fn hot_entity(directory: &Path, extent: Extent) -> Vec<Figure> {
    let node = ledger(&directory.join("data"), &[]).await;
    let bare = directory.to_string_lossy().into_owned();
    let seconds = format!("{}s", extent.slice_s);
    let mut figures = Vec::new();
    for clients in ["64", "256"] {
        let (mut rates, mut p99, mut syncs) = (vec![], vec![], vec![]);
        for _ in 0..extent.slices {
            let arguments = ["--clients", clients, "--hot", "--warmup", "500ms"];
            let rest = ["--duration", &seconds, "--baseline-fsync", &bare];
            let result = record(&node, &[&arguments[..], &rest[..]].concat()).await;
            rates.push(number(&result, "/bench/per-second"));
            p99.push(number(&result, "/bench/latency/p99-us") / 1e3);
            syncs.push(1e6 / number(&result, "/baseline-fsync/overwrite/latency/mean-us"));
        }
        let rate = median(&rates);
        let figure = Figure::new(
            format!("one hot entity, {clients} clients"),
            format!("{rate:.0} commands a second, p99 {:.1} ms", median(&p99)),
        )
        .beside(format!("{:.0} `fdatasync` a second", median(&syncs)));
        figures.push(match clients {
            "64" => figure.budget("≥ 10,000 a second", rate >= 10_000.0),
            _ => figure,
        });
    }
    figures
}
