//! Tables of image files and what is on them: trained on, evaluated, predicted; and the nearest pictures.

use std::fs;

use crate::program::{Place, digits};

/// A network of its own learns these in a second.
const SCRATCH: &str = "from=scratch";

/// Digits in one folder, `pictures/0.png` and so on, and the digit that each shows.
fn pictures(place: &Place, each: usize) -> Vec<u32> {
    let classes = ["0", "1", "5", "8"];
    let found = digits(&classes, each);
    let show = |name: &str| name.split('/').next().unwrap().parse().unwrap();
    let shown: Vec<u32> = found.iter().map(|(name, _)| show(name)).collect();
    for (i, (_, png)) in found.iter().enumerate() {
        place.write(&format!("pictures/{i}.png"), png);
    }
    shown
}

fn table(header: &str, shown: &[u32], line: impl Fn(usize, u32) -> String) -> String {
    let rows = shown.iter().enumerate().map(|(i, &digit)| line(i, digit) + "\n");
    format!("{header}\n{}", rows.collect::<String>())
}

/// Which properties a digit has.
fn properties(digit: u32) -> Vec<&'static str> {
    let all = [("even", digit.is_multiple_of(2)), ("large", digit >= 5), ("straight", digit == 1)];
    all.into_iter().filter(|(_, has)| *has).map(|(name, _)| name).collect()
}

#[test]
fn a_table_of_pictures_and_classes_is_learned_evaluated_and_resumed() {
    let place = Place::new();
    let shown = pictures(&place, 40);
    let text = table("picture,digit,split", &shown, |i, digit| {
        format!("pictures/{i}.png,d{digit},{}", ["train", "train", "train", "test"][i % 4])
    });
    place.write("labels.csv", &text);
    let ran =
        place.run(&["train", "labels.csv", "--target", "digit", "--epochs", "12", "--out", "run", "--json", SCRATCH]);
    let result = ran.succeeded().json();
    assert_eq!(result["task"], "classification");
    assert!(result["metrics"]["test"]["accuracy"].as_f64().unwrap() > 0.85, "{result}");
    let evaluated = place.run(&["evaluate", "run", "labels.csv", "--json"]).succeeded().json();
    assert_eq!(evaluated["rows"], 40, "the test part of the table");
    assert_eq!(evaluated["metrics"]["accuracy"], result["metrics"]["test"]["accuracy"]);
    let predicted = place.run(&["predict", "run", "pictures/0.png", "--json"]).succeeded().json();
    assert_eq!(predicted[0]["prediction"], "d0");

    // A run that has lost its result measures again what it trained; with another table it does not.
    fs::remove_file(place.path("run/result.json")).unwrap();
    place.run(&["train", "--resume", "run", "--quiet"]).succeeded();
    place.write("labels.csv", text.replacen("d5", "d8", 1));
    fs::remove_file(place.path("run/result.json")).unwrap();
    place.run(&["train", "--resume", "run"]).is_refusal(&["has changed since the run began"]);
}

#[test]
fn pictures_count_and_are_grouped_by_columns_of_their_table() {
    let place = Place::new();
    let shown = pictures(&place, 12);
    let rows = |from: usize| {
        let text = table("picture,digit,scanner,count", &shown, |i, digit| {
            format!("pictures/{i}.png,d{digit},{},{}", ["old", "new"][i % 2], i % 3)
        });
        let mut lines: Vec<String> = text.lines().map(|line| format!("{line}\n")).collect();
        lines.drain(1..=from);
        lines.concat()
    };
    place.write("labels.csv", rows(0));
    let train = ["train", "labels.csv", "--target", "digit", "--epochs", "3", SCRATCH, "--json", "--out"];
    place.run(&[&train[..], &["weighted", "--weight", "count"]].concat()).succeeded();
    place.run(&[&train[..], &["plain"]].concat()).succeeded();
    // Rows of the table, not places among the pictures: the first that the table names is another one.
    place.write("some.csv", rows(5) + "pictures/missing.png,d0,old,1\n");
    for (run, more) in [("weighted", &[][..]), ("plain", &["--weight", "count"])] {
        let evaluate = [&["evaluate", run, "some.csv", "--by", "scanner", "--json"], more].concat();
        let evaluated = place.run(&evaluate).succeeded().json();
        let groups: Vec<(&str, u64)> = evaluated["subgroups"]["groups"]
            .as_array()
            .unwrap()
            .iter()
            .map(|group| (group["name"].as_str().unwrap(), group["rows"].as_u64().unwrap()))
            .collect();
        // Of the 43 pictures from the sixth on those whose count is not 0.
        let of = |scanner: usize| (5..48).filter(|i| i % 2 == scanner && i % 3 > 0).count() as u64;
        assert_eq!(groups, [("new", of(1)), ("old", of(0))], "{evaluated}");
        assert!(evaluated["notes"].to_string().contains("rows count by 'count'"), "{evaluated}");
    }
    let told = |more: &[&str]| place.run(&[&["evaluate", "plain", "some.csv"], more].concat());
    told(&["--by", "nowhere"]).is_refusal(&["nowhere", "scanner"]);
    told(&["--weight", "nowhere"]).is_refusal(&["weight", "nowhere"]);
    for (i, digit) in shown.iter().enumerate() {
        let picture = std::fs::read(place.path(&format!("pictures/{i}.png"))).unwrap();
        place.write(&format!("folders/d{digit}/{i}.png"), picture);
    }
    place.run(&["evaluate", "plain", "folders", "--by", "scanner"]).is_refusal(&["by", "table"]);
    place.run(&["evaluate", "plain", "folders", "--weight", "count"]).is_refusal(&["weight", "table"]);
}

#[test]
fn a_folder_with_a_table_of_labels_is_learned() {
    let place = Place::new();
    let shown = pictures(&place, 40);
    place
        .write("findings.csv", table("id,findings", &shown, |i, digit| format!("{i},{}", properties(digit).join("|"))));
    let train = ["train", "pictures", "--labels", "findings.csv", "--epochs", "15", "--out", "run", SCRATCH];
    let ran = place.run(&train).succeeded();
    let words = "multi-label classification of 'findings', any of 3 labels: even (80), large (80), straight (40)";
    assert!(ran.err.contains(words), "`{words}` is not in {}", ran.err);
    for words in ["f1_macro", "f1_micro", "mean_average_precision", "subset_accuracy", "Labels on test", "straight"] {
        assert!(ran.out.contains(words), "`{words}` is not in {}", ran.out);
    }
    let result: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(place.path("run/result.json")).unwrap()).unwrap();
    assert!(result["metrics"]["test"]["f1_micro"].as_f64().unwrap() > 0.8, "{result}");
    assert_eq!(result["labels"][2]["label"], "straight");
    assert_eq!(result["labels"][2]["actual"], 8, "a fifth of the 40 is in the test");

    let predicted = place.run(&["predict", "run", "pictures/0.png", "pictures/41.png", "--json"]).succeeded().json();
    assert_eq!(predicted[0]["labels"], serde_json::json!(["even"]));
    assert_eq!(predicted[1]["labels"], serde_json::json!(["straight"]));
    assert!(predicted[0].get("prediction").is_none());
    assert!(predicted[0]["probabilities"]["even"].as_f64().unwrap() >= 0.5);
    let text = place.run(&["predict", "run", "pictures/0.png"]).succeeded().out;
    assert!(text.contains("labels") && text.contains("even 0."), "{text}");
    let csv = place.run(&["predict", "run", "pictures/0.png", "--format", "csv"]).succeeded().out;
    assert!(
        csv.starts_with("input,labels,probability_even,probability_large,probability_straight,unlike_training\n"),
        "{csv}"
    );

    let evaluated =
        place.run(&["evaluate", "run", "pictures", "--labels", "findings.csv", "--json"]).succeeded().json();
    assert_eq!((evaluated["rows"].as_u64(), evaluated["labels"][0]["actual"].as_u64()), (Some(160), Some(80)));
    place.run(&["evaluate", "run", "pictures"]).is_refusal(&["says no more of images than a class", "--labels"]);
    place.write("new.csv", "id,findings\n3,even|tilted\n");
    place.run(&["evaluate", "run", "pictures", "--labels", "new.csv"]).is_refusal(&[
        "new.csv",
        "'tilted'",
        "even, large",
    ]);
    place.run(&["inspect", "run"]).succeeded();
}

#[test]
fn columns_of_0_and_1_are_weighed_if_that_is_asked_for() {
    let place = Place::new();
    let shown = pictures(&place, 30);
    let flag = |digit: u32, name: &str| u32::from(properties(digit).contains(&name));
    let text =
        table("id,even,rare", &shown, |i, digit| format!("{i},{},{}", flag(digit, "even"), u32::from(i % 24 == 0)));
    place.write("findings.csv", text);
    let train = |more: &[&str]| {
        let mut all =
            vec!["train", "pictures", "--labels", "findings.csv", "--target", "even,rare", "--epochs", "2", SCRATCH];
        all.extend(more);
        place.run(&all).succeeded()
    };
    let plain = train(&["--out", "plain"]);
    assert!(
        plain.err.contains("1 label is rare, 'rare' in") && plain.err.contains("with class_weights=true"),
        "{}",
        plain.err
    );
    let weighed = train(&["--out", "weighed", "class_weights=true"]);
    assert!(weighed.err.contains("since class_weights=true"), "{}", weighed.err);
    let model = |run: &str| fs::read(place.path(&format!("{run}/model/model.safetensors"))).unwrap();
    assert_ne!(model("plain"), model("weighed"));
    // Smoothing and blending of images have a meaning for labels, too.
    train(&["--out", "mixed", "label_smoothing=0.1", "augment.mixup=0.3", "augment.cutmix=0.3"]);
}

#[test]
fn numbers_are_learned_from_pictures_and_predicted_in_their_unit() {
    let place = Place::new();
    let shown = pictures(&place, 40);
    // How much ink there is, in thousands: what a picture can tell.
    place.write(
        "weights.csv",
        table("file,weight", &shown, |i, digit| {
            format!("pictures/{i}.png,{}", 5000.0 + 100.0 * f64::from(digit) + i as f64 * 0.01)
        }),
    );
    let ran =
        place.run(&["train", "weights.csv", "--epochs", "30", "--out", "run", "--json", "augment.mixup=0.2", SCRATCH]);
    let result = ran.succeeded().json();
    assert_eq!(result["task"], "regression");
    let test = &result["metrics"]["test"];
    assert!(test["r2"].as_f64().unwrap() > 0.5 && test["mae"].as_f64().unwrap() < 250.0, "{test}");
    let value = place.run(&["predict", "run", "pictures/0.png", "--json"]).succeeded().json()[0]["value"].clone();
    assert!((4500.0..6000.0).contains(&value.as_f64().unwrap()), "{value}");
    let evaluated = place.run(&["evaluate", "run", "weights.csv"]).succeeded().out;
    assert!(evaluated.contains("160 rows") && evaluated.contains("Residuals"), "{evaluated}");
    place.run(&["evaluate", "run", "pictures"]).is_refusal(&["the numbers of 'weight'"]);
}

#[test]
fn two_classes_tell_sensitivity_and_specificity_of_the_positive_one() {
    let place = Place::new();
    let shown = pictures(&place, 40);
    let text = table("file,diagnosis", &shown, |i, digit| {
        format!("pictures/{i}.png,{}", if digit == 8 { "ill" } else { "well" })
    });
    place.write("cases.csv", &text);
    let ran = place.run(&["train", "cases.csv", "--epochs", "12", "--out", "run", SCRATCH]).succeeded();
    for words in ["sensitivity", "specificity", "balanced_accuracy", "'ill' is the positive class"] {
        assert!(ran.out.contains(words), "`{words}` is not in {}", ran.out);
    }
    let evaluated = place.run(&["evaluate", "run", "cases.csv", "--json"]).succeeded().json();
    assert_eq!(evaluated["positive"], "ill");
    let [healthy, ill] = [&evaluated["confusion"][1], &evaluated["confusion"][0]];
    let share = |hits: &serde_json::Value, of: &serde_json::Value| {
        hits.as_f64().unwrap() / of.as_array().unwrap().iter().map(|n| n.as_f64().unwrap()).sum::<f64>()
    };
    assert_eq!(evaluated["metrics"]["sensitivity"].as_f64().unwrap(), share(&ill[0], ill));
    assert_eq!(evaluated["metrics"]["specificity"].as_f64().unwrap(), share(&healthy[1], healthy));
    assert_eq!(evaluated["intervals"]["sensitivity"].as_array().unwrap().len(), 2);

    let ran =
        place.run(&["train", "cases.csv", "--epochs", "1", "--out", "other", "positive=well", SCRATCH]).succeeded();
    assert!(ran.out.contains("'well' is the positive class"), "{}", ran.out);
    place.refuses(&["cases.csv", "positive=sick"], &["`positive`", "`sick` is no class", "ill and well"]);

    // Few are ill: that is said, with what was done.
    let few = table("file,diagnosis", &shown, |i, digit| {
        format!("pictures/{i}.png,{}", if digit == 8 && i % 4 == 0 { "ill" } else { "well" })
    });
    place.write("cases.csv", few);
    let ran = place.run(&["train", "cases.csv", "--epochs", "1", "--out", "few", SCRATCH]).succeeded();
    assert!(ran.err.contains("classes are unequal") && ran.err.contains("class_weights=true"), "{}", ran.err);
}

#[test]
fn tables_of_pictures_that_cannot_be_learned_are_refused_and_nothing_is_written() {
    let place = Place::new();
    let shown = pictures(&place, 10);
    let write = |name: &str, line: &dyn Fn(usize, u32) -> String| {
        place.write(name, table("file,kind", &shown, line));
    };
    write("gone.csv", &|i, digit| format!("elsewhere/{i}.png,{digit}"));
    place.refuses(&["gone.csv"], &["gone.csv", "column 'file' names images", "--labels"]);
    write("some.csv", &|i, digit| format!("{}/{i}.png,{digit}", if i < 8 { "elsewhere" } else { "pictures" }));
    place.refuses(&["some.csv"], &["some.csv", "8 of 40 images", "elsewhere/0.png", "does not exist"]);
    write("nan.csv", &|i, digit| {
        format!("pictures/{i}.png,{}", if i == 5 { "nan".into() } else { format!("{digit}.5") })
    });
    place.refuses(&["nan.csv", "task=regression"], &["nan.csv", "row 6 (line 7)", "'kind'", "not a number"]);
    write("same.csv", &|i, _| format!("pictures/{i}.png,cat"));
    place.refuses(&["same.csv"], &["'kind' is 'cat' in every row"]);
    place.refuses(&["pictures", "--labels", "nowhere.csv"], &["nowhere.csv", "does not exist"]);
    place.write("features.csv", "a,b\n1.5,x\n2.5,y\n");
    place.refuses(&["pictures", "--labels", "features.csv"], &["no column names image files of 'pictures'", "a, b"]);
    place.refuses(&["pictures"], &["side by side"]);
    place.refuses(&["same.csv", "--labels", "features.csv"], &["'labels'", "is a table"]);
    place.refuses(&["same.csv", "--target", "knd"], &["no column 'knd'", "did you mean 'kind'?"]);
    place.refuses(&["pictures", "task=multi_label"], &["see --labels"]);
}

#[test]
fn the_nearest_pictures_are_found() {
    let place = Place::new();
    let shown = pictures(&place, 15);
    place.write("labels.csv", table("file,digit", &shown, |i, digit| format!("pictures/{i}.png,d{digit}")));
    place.trained("labels.csv", "run", &["--epochs", "15", SCRATCH]);
    let all = place.run(&["embed", "run", "pictures", "--nearest", "3", "--json"]).succeeded().json();
    let all = all.as_array().unwrap();
    assert_eq!(all.len(), 60);
    let digit = |name: &serde_json::Value| {
        let stem = name.as_str().unwrap().trim_start_matches("pictures/").trim_end_matches(".png");
        shown[stem.parse::<usize>().unwrap()]
    };
    let mut alike = 0;
    for one in all {
        let nearest = one["nearest"].as_array().unwrap();
        assert!(nearest.len() == 3 && nearest.iter().all(|other| other["input"] != one["input"]), "{one}");
        let similarity: Vec<f64> = nearest.iter().map(|other| other["similarity"].as_f64().unwrap()).collect();
        assert!(similarity.is_sorted_by(|a, b| a >= b) && similarity[0] <= 1.0, "{one}");
        alike += nearest.iter().filter(|other| digit(&other["input"]) == digit(&one["input"])).count();
    }
    assert!(alike > 140, "{alike} of 180 neighbours show the same digit");

    // Of one that is among them, and of one that is not.
    place.write("query.png", fs::read(place.path("pictures/7.png")).unwrap());
    let of = ["embed", "run", "pictures", "--nearest", "2", "--of", "query.png", "--of", "pictures/7.png", "--json"];
    let found = place.run(&of).succeeded().json();
    assert_eq!(found[0]["nearest"][0]["input"], "pictures/7.png");
    assert!(found[0]["nearest"][0]["similarity"].as_f64().unwrap() > 0.9999);
    assert_eq!(found[0]["nearest"][1], found[1]["nearest"][0]);
    let text = place.run(&["embed", "run", "pictures", "--nearest", "2", "--of", "query.png"]).succeeded().out;
    assert!(text.contains("similarity") && text.contains("1.0000  pictures/7.png"), "{text}");
    let csv = place.run(&["embed", "run", "pictures", "--nearest", "1", "--format", "csv"]).succeeded().out;
    assert!(csv.starts_with("input,rank,nearest,similarity\n") && csv.lines().count() == 61, "{csv}");

    place.run(&["embed", "run", "query.png", "--nearest", "2"]).is_refusal(&["1 of the inputs can be embedded"]);
    for wrong in [
        &["embed", "run", "pictures", "--nearest", "0"][..],
        &["embed", "run", "pictures", "--of", "query.png"],
        &["embed", "run", "pictures", "--format", "table"],
    ] {
        assert_eq!(place.run(wrong).code, Some(2), "{wrong:?}");
    }
    let ran = place.run(&["embed", "run", "pictures", "--nearest", "2", "--of", "query.png", "--of", "gone.png"]);
    assert!(ran.code == Some(2) && ran.err.contains("gone.png") && ran.out.contains("pictures/7.png"), "{ran:?}");
}

#[test]
fn a_published_network_learns_labels_and_numbers_from_few_pictures() {
    let place = Place::new();
    let shown = pictures(&place, 10);
    place.write("tags.csv", table("id,tags", &shown, |i, digit| format!("{i},{}", properties(digit).join("|"))));
    let ran = place.run(&["train", "pictures", "--labels", "tags.csv", "--epochs", "20", "--out", "tags"]).succeeded();
    assert!(ran.err.contains("40 images of 3 classes are few"), "{}", ran.err);
    let evaluated = place.run(&["evaluate", "tags", "pictures", "--labels", "tags.csv", "--json"]).succeeded().json();
    assert!(evaluated["metrics"]["f1_micro"].as_f64().unwrap() > 0.8, "{evaluated}");

    let text =
        table("file,weight", &shown, |i, digit| format!("pictures/{i}.png,{}", 5000.0 + 100.0 * f64::from(digit)));
    place.write("weights.csv", text);
    place.run(&["train", "weights.csv", "--epochs", "20", "--out", "weights"]).succeeded();
    let evaluated = place.run(&["evaluate", "weights", "weights.csv", "--json"]).succeeded().json();
    assert!(evaluated["metrics"]["r2"].as_f64().unwrap() > 0.5, "{evaluated}");
}
