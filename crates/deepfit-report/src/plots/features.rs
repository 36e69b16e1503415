//! The test rows as the last layer sees them, in the two directions in which they differ most.

use deepfit_train::text::words;

use super::colours::{Coloured, MOST};
use super::percent;
use crate::plot::{Axis, Chart, Data, Mark, Plot, Series, Xy};

/// Most groups that are listed.
const LISTED: usize = 200;

/// Rows as numbers, projected on two directions, with the share of their variance that these hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Projection {
    /// Both coordinates of each row.
    pub points: Vec<[f64; 2]>,
    /// The share of all variance along each direction.
    pub shares: [f64; 2],
}

/// The two principal components of rows of the same width (Pearson, 1901), by orthogonal iteration. Nothing of fewer than
/// three rows, or of rows that are all the same.
pub fn project(rows: &[Vec<f32>]) -> Option<Projection> {
    let width = rows.first()?.len();
    if rows.len() < 3 || width == 0 {
        return None;
    }
    let mut mean = vec![0.0f64; width];
    for row in rows {
        mean.iter_mut().zip(row).for_each(|(sum, &x)| *sum += f64::from(x) / rows.len() as f64);
    }
    let centred: Vec<Vec<f64>> =
        rows.iter().map(|row| row.iter().zip(&mean).map(|(&x, mean)| f64::from(x) - mean).collect()).collect();
    let variance: f64 = centred.iter().flatten().map(|x| x * x).sum();
    if variance <= 0.0 || !variance.is_finite() {
        return None;
    }
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    // Directions to begin with that are no eigenvectors by accident.
    let mut directions: [Vec<f64>; 2] =
        [1.0, 2.0].map(|k: f64| (0..width).map(|i| ((i as f64 + 1.0) * (0.7 + k)).sin() + 0.1 * k).collect());
    for _ in 0..60 {
        let mut next = [vec![0.0; width], vec![0.0; width]];
        for row in &centred {
            for (direction, next) in directions.iter().zip(&mut next) {
                let along = dot(row, direction);
                next.iter_mut().zip(row).for_each(|(sum, x)| *sum += along * x);
            }
        }
        let [first, second] = &mut next;
        let length = dot(first, first).sqrt().max(f64::MIN_POSITIVE);
        first.iter_mut().for_each(|x| *x /= length);
        let along = dot(first, second);
        second.iter_mut().zip(first.iter()).for_each(|(x, of_first)| *x -= along * of_first);
        let length = dot(second, second).sqrt().max(f64::MIN_POSITIVE);
        second.iter_mut().for_each(|x| *x /= length);
        directions = next;
    }
    let points: Vec<[f64; 2]> =
        centred.iter().map(|row| [dot(row, &directions[0]), dot(row, &directions[1])]).collect();
    let share = |at: usize| points.iter().map(|point| point[at] * point[at]).sum::<f64>() / variance;
    Some(Projection { shares: [share(0), share(1)], points })
}

/// The map of rows that belong to classes, or have values.
/// Groups that have a look in `looks` have it here, too; the largest of the others have those that are left.
pub fn features(projection: &Projection, groups: &[String], grouping: &str, looks: &Coloured) -> Plot {
    let mut counts: Vec<(String, Vec<[f64; 2]>)> = Vec::new();
    for (group, &point) in groups.iter().zip(&projection.points) {
        match counts.iter_mut().find(|(name, _)| name == group) {
            Some((_, points)) => points.push(point),
            None => counts.push((group.clone(), vec![point])),
        }
    }
    counts.sort_by(|a, b| b.1.len().cmp(&a.1.len()).then_with(|| a.0.cmp(&b.0)));
    let mut free = (0..MOST).filter(|look| looks.values().all(|taken| taken != look));
    let (mut series, mut others, mut left) = (Vec::new(), Vec::new(), 0);
    for (name, points) in &counts {
        match looks.get(name).copied().or_else(|| free.next()) {
            Some(look) => series.push(Series::new(name, Mark::Points, look, points.clone())),
            None => {
                others.extend_from_slice(points);
                left += 1;
            }
        }
    }
    series.sort_by_key(|series| series.look);
    if left > 0 {
        // Below the others, which are looked at.
        series.insert(0, Series::new(&format!("{left} other groups"), Mark::Points, MOST, others));
    }
    let mut table = Data::new(&[grouping, "rows", "centre, first direction", "centre, second direction"]);
    for (name, points) in counts.iter().take(LISTED) {
        let mean = |at: usize| points.iter().map(|point| point[at]).sum::<f64>() / points.len() as f64;
        table.row(vec![name.clone(), points.len().to_string(), words::number(mean(0)), words::number(mean(1))]);
    }
    let [first, second] = projection.shares;
    Plot {
        name: "features",
        title: "The test rows as the last layer sees them".to_string(),
        reading: "Each point is a row. Before its last layer the network has made many numbers of each; here they are looked at \
                  from the side from which they differ most (principal components). Rows that lie together are alike to the \
                  network; heaps that overlap here may still be apart in other directions."
            .to_string(),
        finding: format!(
            "{} in {} groups. The two directions hold {} and {} of all differences.",
            words::plural(projection.points.len() as u64, "row"),
            counts.len(),
            percent(first),
            percent(second)
        ),
        chart: Chart::Xy(Xy {
            x: Axis::over(&format!("first direction ({})", percent(first)), projection.points.iter().map(|p| p[0])),
            y: Axis::over(&format!("second direction ({})", percent(second)), projection.points.iter().map(|p| p[1])),
            series,
        }),
        table,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_that_are_classes_have_their_colours_and_others_those_that_are_left() {
        let projection = Projection { points: vec![[0.0, 0.0]; 7], shares: [0.5, 0.25] };
        let groups = ["b", "b", "b", "b, c", "c", "a", "b, c"].map(String::from);
        let looks: Coloured = ["a", "b", "c"].into_iter().map(String::from).zip(0..).collect();
        let plot = features(&projection, &groups, "true class", &looks);
        let Chart::Xy(xy) = plot.chart else { panic!("{:?}", plot.chart) };
        let found: Vec<(&str, usize)> = xy.series.iter().map(|series| (&series.name[..], series.look)).collect();
        assert_eq!(found, [("a", 0), ("b", 1), ("c", 2), ("b, c", 3)]);
    }

    #[test]
    fn the_directions_are_those_of_numpy() {
        // numpy.linalg.svd of the centred rows: shares of the squared singular values.
        let rows = [[1.0f32, 2.0, 0.0], [3.0, 1.0, 1.0], [5.0, 6.0, 2.0], [4.0, 4.0, 1.0]].map(|row| row.to_vec());
        let found = project(&rows).unwrap();
        let [first, second] = found.shares;
        assert!((first - 0.883_155_79).abs() < 1e-7 && (second - 0.111_323_46).abs() < 1e-7, "{first} {second}");
        // Distances in the plane are at most those between the rows.
        let distance = |a: &[f64; 2], b: &[f64; 2]| (a[0] - b[0]).hypot(a[1] - b[1]);
        let whole = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| f64::from(x - y).powi(2)).sum::<f64>().sqrt();
        for i in 0..4 {
            for j in 0..4 {
                assert!(distance(&found.points[i], &found.points[j]) <= whole(&rows[i], &rows[j]) + 1e-9);
            }
        }
        assert!(project(&[vec![1.0, 1.0], vec![1.0, 1.0], vec![1.0, 1.0]]).is_none());
    }
}
