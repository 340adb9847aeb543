/// The style sheet of a page and of a drawing alone.
enum PageStyle {
  /// The colours, for light and dark. Text has a contrast of at least 4.5 on every ground it is used on. Paper is light.
  static let colors: Markup = """
    :root{color-scheme:light dark;\(light)}
    @media screen and (prefers-color-scheme:dark){:root{\(dark)}}

    """
  private static let light: Markup = """
    --ground:#fff;--panel:#f4f6f6;--rule:#dde3e4;--ink:#1b2224;--soft:#556064;--accent:#0d6666;\
    --tint:#d3e7e5;--mid:#83bbb6;--grey:#dfe3e4;\
    --warm:#9a4600;--warm-tint:#f8e6d6;--bad:#ad231b;--bad-tint:#fbe5e3;--good:#1a6634;--good-tint:#e2f1e6;\
    --s0:#b5d6d2;--s1:#84bcb6;--s2:#549f99;--s3:#2f7f7b;--s4:#155b5d;--s5:#8c9ccb;--s6:#b9a0cd;--s7:#c4cacc;--used:#5f6a6e
    """
  private static let dark: Markup = """
    --ground:#13181a;--panel:#1b2224;--rule:#303a3d;--ink:#e5e9ea;--soft:#a2adb0;--accent:#7accc4;\
    --tint:#1f4543;--mid:#3f857f;--grey:#394346;\
    --warm:#f2ac6d;--warm-tint:#40290f;--bad:#ff9d92;--bad-tint:#481f1b;--good:#88d49c;--good-tint:#173a22;\
    --s0:#d3ebe8;--s1:#9fd3cd;--s2:#6bb3ad;--s3:#44908b;--s4:#2c6c69;--s5:#7183bd;--s6:#9a7db3;--s7:#5b666a;--used:#8b979b
    """

  /// The classes of the drawing.
  static let drawing: Markup = """
    .ground{fill:var(--ground)}
    .d-name{font-size:15px;font-weight:650;fill:var(--ink)}
    .d-title{font-size:11px;font-weight:600;fill:var(--soft)}
    .d-text,.d-soft,.d-stride,.d-project-text{font-size:11px;font-variant-numeric:tabular-nums;
      fill:var(--ink)}
    .d-soft{fill:var(--soft)}
    .d-stride,.d-project-text{fill:var(--warm);font-weight:600}
    .d-bar{fill:var(--ink)}
    .d-point{fill:var(--tint)}
    .d-space{fill:var(--mid)}
    .d-other{fill:var(--grey)}
    .d-identity,.d-project{fill:none;stroke:var(--soft);stroke-width:1.25}
    .d-project{stroke:var(--warm);stroke-width:2.25}
    .d-box{fill:var(--warm)}
    .d-sum{fill:var(--ground);stroke:var(--ink);stroke-width:1.25}
    .d-plus{stroke:var(--ink);stroke-width:1.25}
    .d-rule{fill:none;stroke:var(--rule)}

    """

  /// Everything else on the page.
  static let page: Markup = """
    *{box-sizing:border-box}html{-webkit-text-size-adjust:100%}
    body{margin:0 auto;max-width:76rem;padding:clamp(1.25rem,4vw,3rem) clamp(1rem,4vw,2.5rem) 4rem;
      overflow-wrap:break-word;background:var(--ground);color:var(--ink);
      font:1rem/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","DejaVu Sans",sans-serif}
    h1,h2,h3,h4{line-height:1.25;font-weight:650;letter-spacing:-.011em;overflow-wrap:anywhere;margin:0}
    h1{font-size:clamp(1.4rem,1.1rem + 1.4vw,2rem)}
    section>h2,article>h2{font-size:1.35rem}
    article>h2{font-size:1.6rem}
    h3{font-size:1.15rem}
    h4{font-size:1rem}
    section{margin-top:3rem}
    section section{margin-top:2rem}
    article{margin-top:4rem;padding-top:2rem;border-top:2px solid var(--ink)}
    section>:is(h2,h3){padding-bottom:.45rem;margin-bottom:1rem;border-bottom:1px solid var(--rule)}
    section>h4{margin:1.5rem 0 .6rem}
    p{margin:.6rem 0;max-width:46rem}
    .lead{font-size:1.1rem;margin:.5rem 0 1.25rem}
    .soft{color:var(--soft)}
    .small{font-size:.875rem}
    a{color:var(--accent);text-underline-offset:.15em}
    :focus-visible{outline:2px solid var(--accent);outline-offset:2px}
    code{font:.875em/1.4 ui-monospace,"SF Mono",Menlo,Consolas,"DejaVu Sans Mono",monospace;
      overflow-wrap:anywhere}
    nav ul{display:flex;flex-wrap:wrap;gap:.25rem 1.25rem;list-style:none;margin:1.5rem 0 0;
      padding:.75rem 0;border-block:1px solid var(--rule);font-size:.9375rem}
    .skip{position:absolute;left:-99rem}
    .skip:focus{left:1rem;top:1rem;background:var(--ground);padding:.5rem 1rem}
    .facts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(9rem,42%),1fr));
      gap:1rem 1.5rem;margin:1.25rem 0 0}
    .facts div{min-width:0}
    dt{font-size:.8125rem;color:var(--soft)}
    dd{margin:0;overflow-wrap:anywhere;font-variant-numeric:tabular-nums}
    .badge{display:inline-block;padding:.1rem .6rem;border-radius:1rem;font-size:.9375rem;font-weight:600}
    .good{color:var(--good)}
    .bad{color:var(--bad)}
    .warm{color:var(--warm)}
    .badge.good{background:var(--good-tint)}
    .badge.bad{background:var(--bad-tint)}
    .badge.warm{background:var(--warm-tint)}
    .scroll{overflow-x:auto;margin:0 0 1rem}
    table{border-collapse:collapse;font-size:.875rem;line-height:1.4;font-variant-numeric:tabular-nums}
    caption{text-align:left;color:var(--soft);padding:0 0 .5rem;font-size:.875rem}
    th,td{padding:.34rem .9rem .34rem 0;text-align:left;vertical-align:top;
      border-bottom:1px solid var(--rule)}
    th:last-child,td:last-child{padding-right:0}
    thead th{color:var(--soft);font-weight:600;vertical-align:bottom;white-space:nowrap}
    tbody th{font-weight:400;white-space:nowrap}
    tbody th:has(code){white-space:normal;min-width:10.5rem}
    tfoot :is(th,td){font-weight:600;border-bottom:0}
    .n{text-align:right}
    td.n,.nowrap{white-space:nowrap}
    .wide{width:100%}td:has(>.h){padding-block:.1rem;vertical-align:middle}
    .controls{display:flex;flex-wrap:wrap;gap:.5rem 1rem;align-items:baseline;margin:1rem 0}
    .controls[hidden]{display:none}
    input{font:inherit;color:inherit;background:var(--ground);border:1px solid var(--soft);
      border-radius:.35rem;padding:.3rem .6rem;margin-left:.5rem;width:16rem;max-width:60vw}
    ::placeholder{color:var(--soft);opacity:1}
    th button{all:unset;cursor:pointer;font-weight:600}
    th button:focus-visible{outline:2px solid var(--accent);outline-offset:2px}
    th button::after{content:"";display:inline-block;width:.9em;text-align:center}
    th.n button::after{width:0}
    th[aria-sort] button{color:var(--ink)}
    th[aria-sort=ascending] button::after{content:"↑";width:.9em}
    th[aria-sort=descending] button::after{content:"↓";width:.9em}
    .h{display:block;width:72px;height:18px}
    .h path{fill:var(--mid)}
    .h line{stroke:var(--ink);stroke-width:1}
    .share{display:block;width:100%;min-width:6rem;height:.7rem;margin-top:.28rem}
    .share rect{fill:var(--mid)}
    .panels{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,20rem),1fr));
      gap:2rem 2.75rem;margin:1.25rem 0;list-style:none;padding:0}
    .panels svg{display:block;width:100%;max-width:22rem;height:auto;overflow:visible}
    .legend{display:flex;flex-wrap:wrap;gap:.3rem 1.25rem;list-style:none;padding:0;margin:.75rem 0;
      font-size:.875rem}
    .legend li{display:flex;gap:.45rem;align-items:center}
    .legend svg,.key svg{flex:none;width:14px;height:14px}
    .key{display:inline-flex;gap:.5rem;align-items:center}
    .map{display:block;width:100%;height:clamp(9rem,20vw,16rem);margin:1rem 0;background:var(--panel)}
    .g0{fill:var(--s0)}
    .g1{fill:var(--s1)}
    .g2{fill:var(--s2)}
    .g3{fill:var(--s3)}
    .g4{fill:var(--s4)}
    .g5{fill:var(--s5)}
    .g6{fill:var(--s6)}
    .g7{fill:var(--s7)}
    .gs{fill:var(--used)}
    .gu{fill:var(--bad)}
    footer{margin-top:4rem;padding-top:1rem;border-top:1px solid var(--rule);font-size:.875rem;
      color:var(--soft)}
    @media (max-width:44rem){.opt{display:none}th,td{padding-right:.65rem}}
    @media print{
      :root{color-scheme:light}
      body{max-width:none;padding:0;font-size:10pt}
      nav,.controls,.skip{display:none}
      section{break-inside:auto;margin-top:1.5rem}
      :is(h2,h3,h4){break-after:avoid}
      tr,.panels li{break-inside:avoid}
      .scroll{overflow:visible}
      table{font-size:7.5pt}
      a{color:inherit;text-decoration:none}
      thead{display:table-header-group}
    }

    """
}
