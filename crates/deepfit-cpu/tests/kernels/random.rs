use deepfit_cpu::kernels::random::*;

use super::support::{bits, everywhere, numbers};

/// The known answers published with the generator.
#[test]
fn philox_gives_the_known_answers() {
    assert_eq!(philox4x32([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
    assert_eq!(philox4x32([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
    assert_eq!(
        philox4x32([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
        [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
    );
}

#[test]
fn dropout_is_a_function_of_key_stream_and_position() {
    let n = 50_001;
    let (key, stream) = (0x0123_4567_89ab_cdef, 77);
    let x = numbers(n, 1);
    let p = 0.3f32;
    let want: Vec<f32> = (0..n)
        .map(|i| {
            let counter = [(i / 4) as u32, 0, stream as u32, 0];
            let random = philox4x32(counter, [0x89ab_cdef, 0x0123_4567])[i % 4];
            x[i] * if random as f64 / 4_294_967_296.0 >= p as f64 { 1.0 / (1.0 - p) } else { 0.0 }
        })
        .collect();
    for len in [0, 1, 3, 4, 5, 63, 64, 65, 16_384, 16_385, n] {
        everywhere(
            |cx| {
                let mut y = vec![0.0; len];
                dropout(cx, key, stream, p, &x[..len], &mut y);
                y
            },
            |isa, y| assert_eq!(bits(y), bits(&want[..len]), "{isa}"),
        );
    }
    let kept = want.iter().filter(|v| **v != 0.0).count() as f64 / n as f64;
    assert!((kept - 0.7).abs() < 0.01, "{kept} kept");
}

#[test]
fn the_ends_of_the_range_of_probabilities_keep_all_or_nothing() {
    let x = vec![2.0; 100];
    for (p, want) in [(0.0, 2.0), (1.0, 0.0)] {
        everywhere(
            |cx| {
                let mut y = vec![9.0; 100];
                dropout(cx, 1, 2, p, &x, &mut y);
                y
            },
            |_, y| assert_eq!(y, [want; 100]),
        );
    }
}

#[test]
fn uniform_numbers_fill_the_unit_interval_and_streams_differ() {
    let draw = |stream| {
        let y = std::cell::RefCell::new(Vec::new());
        everywhere(
            |cx| {
                let mut y = vec![0.0; 40_000];
                uniform(cx, 5, stream, &mut y);
                y
            },
            |_, got| *y.borrow_mut() = got.to_vec(),
        );
        y.into_inner()
    };
    let (a, b) = (draw(0), draw(1 << 40));
    assert!(a.iter().all(|v| (0.0..1.0).contains(v)));
    let mean = a.iter().map(|&v| v as f64).sum::<f64>() / 40_000.0;
    let square = a.iter().map(|&v| (v as f64 - 0.5).powi(2)).sum::<f64>() / 40_000.0;
    assert!((mean - 0.5).abs() < 0.01 && (square - 1.0 / 12.0).abs() < 0.003);
    assert!(a.iter().zip(&b).filter(|(a, b)| a == b).count() < 10);
}
