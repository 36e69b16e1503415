//! Sizes that overflow or that no memory holds are refused, with the layer and the shapes.

use deepfit_graph::ops::{
    Conv1dAttributes, Conv2dAttributes, ConvTranspose2dAttributes, Interpolation, PaddingMode, Regions, Window,
    Window1d,
};
use deepfit_graph::{DType, Dim, Mode, Result, Tensor, Tracer};

const HUGE: [usize; 5] = [usize::MAX, usize::MAX - 1, usize::MAX / 2, usize::MAX / 2 + 1, 1 << 61];

#[track_caller]
fn refused(result: Result<Tensor>, parts: &[&str]) {
    let message = result.expect_err("too large").to_string();
    for part in ["stem: "].iter().chain(parts) {
        assert!(message.contains(part), "`{message}` does not say `{part}`");
    }
}

fn stem<T: deepfit_graph::LayerResult>(build: impl FnOnce(&Tracer) -> T) -> T {
    let tracer = Tracer::new(Mode::Train);
    tracer.in_layer("stem", || build(&tracer))
}

#[test]
fn windows_whose_arithmetic_overflows_do_not_fit() {
    for huge in HUGE {
        let images = |t: &Tracer| t.batch("x", &[9, 9, 4], DType::F32);
        let both = &["[batch, 9, 9, 4]", "[2, 4, 3, 3]"][..];
        let conv = |attributes| stem(|t| images(t).conv2d(&t.parameter("w", [2, 4, 3, 3])?, attributes));
        refused(conv(Conv2dAttributes { padding: (huge, 0), ..Default::default() }), both);
        refused(conv(Conv2dAttributes { dilation: (1, huge), ..Default::default() }), both);
        assert_eq!(Conv2dAttributes { padding: (huge, 0), ..Default::default() }.output_size((9, 9), (3, 3)), None);
        assert_eq!(Conv2dAttributes { stride: (0, 1), ..Default::default() }.output_size((9, 9), (3, 3)), None);
        // One window alone fits at any stride.
        conv(Conv2dAttributes { stride: (huge, huge), ..Default::default() }).expect("it fits");

        let rows = |t: &Tracer| t.batch("x", &[9, 4], DType::F32);
        let conv1d = |padding, dilation| {
            let attributes = Conv1dAttributes { padding, dilation, ..Default::default() };
            stem(|t| rows(t).conv1d(&t.parameter("w", [2, 4, 3])?, attributes))
        };
        refused(conv1d(huge, 1), &["[batch, 9, 4]", "[2, 4, 3]", &huge.to_string()]);
        refused(conv1d(0, huge), &["[batch, 9, 4]", "[2, 4, 3]", &huge.to_string()]);

        let spread = |stride: usize, padding: usize, output_padding: usize| {
            let conv = Conv2dAttributes { stride: (stride, 1), padding: (padding, 0), ..Default::default() };
            let attributes = ConvTranspose2dAttributes { conv, output_padding: (output_padding, 0) };
            stem(|t| images(t).conv_transpose2d(&t.parameter("w", [4, 2, 3, 3])?, attributes))
        };
        refused(spread(huge, 0, 0), &["[batch, 9, 9, 4]"]);
        refused(spread(1, huge, 0), &["[batch, 9, 9, 4]", "[4, 2, 3, 3]"]);
        refused(spread(huge, 0, huge - 1), &["[batch, 9, 9, 4]"]);

        for window in [
            Window { padding: (huge, 0), ..Window::square(2) },
            Window { dilation: (1, huge), ..Window::square(2) },
            Window { size: (huge, 1), padding: (huge / 2, 0), ..Window::square(1) },
        ] {
            for window in [window, Window { ceil_mode: true, ..window }] {
                refused(stem(|t| images(t).max_pool2d(window)), &["max_pool2d"]);
                refused(stem(|t| images(t).avg_pool2d(window, true)), &["avg_pool2d"]);
            }
        }
        let window = Window1d { padding: huge, ..Window1d::of(3) };
        refused(stem(|t| rows(t).max_pool1d(window)), &["max_pool", "padding"]);
        refused(stem(|t| images(t).avg_pool2d(Regions::Adaptive((huge, huge)), false)), &["memory"]);
        refused(stem(|t| images(t).unfold2d((huge, huge), Conv2dAttributes::default())), &["[batch, 9, 9, 4]"]);
    }
    // A window with a border so wide is found without walking along it.
    let wide = Window { size: (1 << 40, 1), stride: (1, 1), padding: (1 << 39, 0), ..Window::square(1) };
    let y = stem(|t| t.batch("x", &[4, 4, 1], DType::F32).max_pool2d(wide)).expect("it fits");
    assert_eq!(y.shape().to_string(), "[batch, 5, 4, 1]");
}

#[test]
fn borders_and_parts_whose_lengths_overflow_are_refused() {
    let x = |t: &Tracer| t.batch("x", &[9, 4], DType::F32);
    let modes = [
        PaddingMode::ZEROS,
        PaddingMode::Constant(1.0),
        PaddingMode::Reflect,
        PaddingMode::Replicate,
        PaddingMode::Circular,
    ];
    for mode in modes {
        for (before, after) in [(isize::MAX, 0), (isize::MAX, isize::MAX), (isize::MIN, 0), (isize::MIN, isize::MAX)] {
            refused(stem(|t| x(t).pad(1, before, after, mode)), &["pad", "[batch, 9, 4]"]);
        }
    }
    refused(stem(|t| Ok(x(t).split(1, &[usize::MAX, 10])?.remove(0))), &["split", "[batch, 9, 4]"]);
    refused(stem(|t| x(t).slice(1, usize::MAX, 2)), &["slice", "[batch, 9, 4]"]);
    refused(stem(|t| x(t).tile(&[1, usize::MAX, 3])), &["[batch, 1, 9, 1, 4]", "memory"]);
    refused(stem(|t| x(t).repeat_interleave(2, usize::MAX)), &["[batch, 9, 4, 1]", "memory"]);
    for how in [Interpolation::Nearest, Interpolation::Area, Interpolation::Linear { align_corners: false }] {
        refused(stem(|t| x(t).interpolate(1, 1 << 40, None, how)), &["interpolate", "[batch, 9, 4]", "1099511627776"]);
    }
    refused(stem(|t| x(t).one_hot(3)), &["one_hot"]);
    refused(stem(|t| t.batch("i", &[], DType::I32).one_hot(usize::MAX)), &["one_hot", "[batch]", "memory"]);
    refused(stem(|t| t.arange(1 << 31)), &["arange", "i32"]);
    refused(stem(|t| x(t).pixel_shuffle(1 << 32)), &["pixel_shuffle", "[batch, 9, 4]"]);
}

#[test]
fn products_of_axes_do_not_wrap() {
    assert_eq!((Dim::fixed(1 << 40) * Dim::fixed(1 << 40)).as_fixed(), Some(usize::MAX));
    assert_eq!(Dim::fixed(usize::MAX).plus(Dim::fixed(1)), None);
    let many = |t: &Tracer, n: usize| t.input("a", [n, 1], DType::F32);
    refused(
        stem(|t| many(t, 1 << 40).mul(&t.input("b", [1, 1 << 40], DType::F32))),
        &["mul", "[1099511627776, 1]", "[1, 1099511627776]", "memory"],
    );
    refused(stem(|t| many(t, 1 << 40).broadcast_to([1 << 40, 1 << 40])), &["broadcast_to", "memory"]);
    // Elements that would wrap to the same number.
    refused(stem(|t| t.scalar(1.0).reshape([1 << 63, 2, 1])), &["reshape"]);
    refused(stem(|t| many(t, 0).reshape([1 << 32, 1 << 32])), &["reshape"]);
}

#[test]
fn values_of_too_many_axes_are_refused() {
    let x = |t: &Tracer, rank: usize| t.input("x", vec![Dim::fixed(1); rank], DType::F32);
    let eight = "[1, 1, 1, 1, 1, 1, 1, 1]";
    stem(|t| x(t, 8).neg()).expect("eight axes");
    refused(stem(|t| x(t, 8).unsqueeze(0)), &["reshape", eight, "more than 8 axes"]);
    let tracer = Tracer::new(Mode::Train);
    x(&tracer, 9);
    assert!(tracer.check().unwrap_err().to_string().contains("more than 8 axes"));
    refused(stem(|t| t.input("x", [2; 5], DType::F32).tile(&[2; 5])), &["[2, 2, 2, 2, 2]", "more than 8 axes"]);
}
