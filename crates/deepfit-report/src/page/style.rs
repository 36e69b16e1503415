//! How the page looks: light and dark, on paper, on a phone.

/// All rules, those of plots included.
pub(crate) fn rules() -> String {
    format!("{}{}", PAGE.replace("\n    ", "").replace('\n', ""), crate::svg::rules())
}

/// Colours are pairs of at least 4.5 to 1 (7 to 1 for text).
const PAGE: &str = "
:root{color-scheme:light dark;--ink:#1b1b1b;--soft:#555;--paper:#fff;--card:#f5f5f3;--line:#d0d0d0;--link:#004f8a;
    --warn:#fff3cd;--warn-ink:#4d3800;--for:#b3261e;--for1:#fbe3e1;--for2:#f5c0bb;--for3:#ee9c95;
    --against:#0b57a4;--against1:#e0ecf9;--against2:#bcd7f3;--against3:#94bfea;--mark:#ffe3b3}
@media (prefers-color-scheme:dark){@media not print{:root{--ink:#e8e8e8;--soft:#b4b4b4;--paper:#16181c;--card:#20242a;
    --line:#454545;--link:#8cc8ff;--warn:#4a3b00;--warn-ink:#ffe9a8;--for:#ff9d95;--for1:#4a2320;--for2:#6b2c27;--for3:#8c332c;
    --against:#8cc8ff;--against1:#1d3146;--against2:#22456a;--against3:#27598d;--mark:#5c4200}}}
*{box-sizing:border-box}
html{font:16px/1.5 system-ui,\"Segoe UI\",Roboto,\"DejaVu Sans\",sans-serif}
body{margin:0 auto;padding:0 1rem 2rem;max-width:68rem;color:var(--ink);background:var(--paper)}
h1{font-size:1.7rem;line-height:1.2;margin:1.2rem 0 .6rem;overflow-wrap:anywhere}
h2{font-size:1.35rem;border-bottom:2px solid var(--line);padding-bottom:.2rem;margin:2.2rem 0 .8rem}
h3{font-size:1.1rem;margin:1.2rem 0 .4rem}
h4{font-size:1rem;margin:0 0 .4rem;overflow-wrap:anywhere}
p{max-width:46rem;margin:.5rem 0}
a{color:var(--link)}
.skip{position:absolute;left:-99rem}
.skip:focus{position:static}
.hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.lead{font-size:1.1rem;overflow-wrap:anywhere}
nav ul{display:flex;flex-wrap:wrap;gap:.3rem 1rem;list-style:none;padding:.5rem 0;margin:0}
nav a{display:inline-block;padding:.25rem 0}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(14rem,1fr));gap:.8rem;margin:1rem 0}
.tiles div{background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.7rem .9rem}
.tiles dt{font-weight:600}
.tiles dd{margin:0;color:var(--soft);font-size:.92rem}
.tiles .big{font-size:1.5rem;color:var(--ink);font-variant-numeric:tabular-nums}
.figures{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,25rem),1fr));gap:1rem}
.plot-box{margin:0;padding:.8rem;background:var(--paper);border:1px solid var(--line);border-radius:.5rem;min-width:0}
.plot-box h3{margin-top:0}
.plot{display:block;width:100%;max-width:34rem;height:auto}
.reading{color:var(--soft);font-size:.92rem}
figcaption{margin-top:.4rem;overflow-wrap:anywhere}
details{margin:.5rem 0}
summary{cursor:pointer;color:var(--link);padding:.2rem 0}
.wide{overflow-x:auto;max-width:100%}
table{border-collapse:collapse;font-variant-numeric:tabular-nums;font-size:.95rem}
th,td{text-align:right;padding:.3rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}
thead th{white-space:normal}
th:first-child,.meaning{text-align:left}
.meaning{color:var(--soft);min-width:14rem}
.main th,.main td{font-weight:700}
.main .meaning{font-weight:400}
.nothing{color:var(--soft)}
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,16rem),1fr));gap:.8rem;list-style:none;padding:0}
.cards article{height:100%;background:var(--card);border:1px solid var(--line);border-radius:.5rem;padding:.7rem;min-width:0}
.cards p{font-size:.92rem;overflow-wrap:anywhere}
.cards img{display:block;max-width:100%;height:auto;background:#888}
.cards .pixels{width:8rem;image-rendering:pixelated}
.why{color:var(--soft)}
.cells{display:grid;grid-template-columns:1fr;gap:.1rem;margin:.3rem 0;font-size:.9rem}
.cells div{display:flex;justify-content:space-between;gap:.6rem;border-bottom:1px solid var(--line)}
.cells dt{overflow-wrap:anywhere;color:var(--soft)}
.cells dd{margin:0;text-align:right;overflow-wrap:anywhere;font-variant-numeric:tabular-nums}
blockquote{margin:.4rem 0;padding:.3rem .6rem;border-left:3px solid var(--line);white-space:pre-wrap;overflow-wrap:anywhere}
mark{background:var(--mark);color:var(--ink);padding:0 .15rem}
ins{text-decoration:none;background:var(--against1)}
.words{line-height:1.9;overflow-wrap:anywhere}
.words span{padding:.1rem .15rem;border-radius:.2rem}
.for1,.for2,.for3{border-bottom:2px solid var(--for)}
.for1{background:var(--for1)}.for2{background:var(--for2)}.for3{background:var(--for3)}
.against1,.against2,.against3{border-bottom:2px dashed var(--against)}
.against1{background:var(--against1)}.against2{background:var(--against2)}.against3{background:var(--against3)}
.warning{background:var(--warn);color:var(--warn-ink);padding:.5rem .8rem;border-radius:.4rem;overflow-wrap:anywhere}
code,pre{font-family:ui-monospace,\"DejaVu Sans Mono\",monospace;font-size:.9rem;overflow-wrap:anywhere}
pre{background:var(--card);border:1px solid var(--line);padding:.7rem;overflow:auto;max-height:30rem}
.commands code{background:var(--card);padding:.1rem .3rem}
.sides{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,20rem),1fr));gap:1rem}
footer{margin-top:3rem;color:var(--soft);font-size:.9rem}
:focus-visible{outline:3px solid var(--link);outline-offset:2px}
@media screen and (max-width:40rem){
    .stack,.stack tbody,.stack tr,.stack th,.stack td{display:block}
    .stack thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
    .stack tr{border-bottom:1px solid var(--line);padding:.5rem 0}
    .stack th,.stack td{border:0;padding:.1rem 0;text-align:left;overflow-wrap:anywhere}
    .stack td[data-label]{display:flex;justify-content:space-between;gap:1rem}
    .stack td[data-label]::before{content:attr(data-label);color:var(--soft);font-weight:400}
    .stack td[data-label]>div{text-align:right}
    .stack .meaning{min-width:0}
    thead th{white-space:normal}.wide table:not(.stack){font-size:.85rem}.wide table:not(.stack) th,.wide table:not(.stack) td{padding:.25rem}}
@media print{html{font-size:10pt}body{max-width:none}nav,.skip,details:not([open]){display:none}
    .plot-box,.cards article,tr{break-inside:avoid}.figures{grid-template-columns:1fr 1fr}
    .wide{overflow:visible}table{font-size:8.5pt}th,td{padding:.15rem .3rem}.meaning{min-width:0}thead th{white-space:normal}a{color:inherit}h2,h3{break-after:avoid}}
@media (prefers-reduced-motion:no-preference){html{scroll-behavior:smooth}}
";
