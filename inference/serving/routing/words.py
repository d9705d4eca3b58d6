"""The words by which a request's difficulty is told, in English, German, French, Spanish and Chinese.

Words of alphabets are compared whole and in lower case; Chinese ones are looked for anywhere, since nothing parts them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final


def _points(**by_points: str) -> Mapping[str, int]:
    """Read `_1="a b", _2="c"` as {"a": 1, "b": 1, "c": 2}."""
    return {word: int(points.strip("_")) for points, words in by_points.items() for word in words.split()}


REASONING: Final = _points(
    _1="""
    why explain compare analyze analyse analysis evaluate assess justify argue reason reasoning infer contrast
    implications consequences tradeoff tradeoffs strategy diagnose critique optimize optimise optimal design
    warum weshalb erkläre erklären erklär vergleiche vergleichen analysiere analysieren bewerte begründe beurteile
    folgen strategie optimiere entwirf abwägen
    pourquoi explique expliquez expliquer compare comparez comparer analyse analysez évalue évaluez justifie justifiez
    conséquences stratégie optimise
    porqué explica explique explicar compara comparar analiza analizar evalúa evaluar justifica justificar
    consecuencias estrategia optimiza
    """,
    _2="""
    prove proof derive derivation deduce counterexample rigorously rigorous paradox contradiction
    beweise beweis beweisen leite herleiten herleitung widerspruch gegenbeispiel
    démontre démontrez démontrer prouve prouvez preuve déduis contradiction
    demuestra demuestre demostrar demostración deduce deriva contradicción
    """,
)
MATHS: Final = _points(
    _1="""
    equation equations integral integrals derivative probability theorem matrix eigenvalue eigenvalues polynomial
    irrational prime primes modulo logarithm sqrt sum calculate compute solve geometry vector variance percent
    gleichung gleichungen integral ableitung wahrscheinlichkeit satz primzahl primzahlen irrational berechne löse wurzel
    équation équations intégrale dérivée probabilité théorème matrice calcule calculez résous irrationnel premier
    ecuación ecuaciones integral derivada probabilidad teorema matriz calcula resuelve irracional primo primos
    """
)
CODE: Final = _points(
    _1="""
    function functions method class code script debug bug refactor compile compiler implement algorithm api exception
    array string loop recursion recursive write fix unit list dictionary java rust ruby swift go library parser
    funktion methode klasse programm programmiere implementiere schreibe skript fehler schleife liste
    fonction méthode classe programme implémente écris script boucle liste
    función método clase programa implementa escribe bucle lista
    """,
    _2="""
    python sql regex quicksort mergesort stacktrace traceback segfault html css bash shell dockerfile yaml json
    quellcode código
    """,
    _3="""
    javascript typescript kotlin golang haskell php numpy pandas django fastapi react nodejs sqlalchemy pytest
    """,
)
CODE_FROM: Final = 3
"""Points from which a request counts as one for code."""
STEPS: Final = _points(
    _1="""
    first firstly second secondly third then next after finally lastly afterwards
    zuerst erstens zweitens dann danach anschließend schließlich zuletzt
    premièrement deuxièmement ensuite puis enfin finalement
    primero segundo luego después entonces finalmente
    """
)
PHRASES: Final = (
    "step by step", "step-by-step", "trade-off", "think carefully", "pros and cons",
    "schritt für schritt", "vor- und nachteile", "étape par étape", "avantages et inconvénients", "paso a paso",
    "pros y contras", "por qué",
)  # fmt: skip
"""Worth one reasoning word each."""
CHINESE_REASONING: Final = _points(
    _1="为什么 解释 比较 分析 评估 一步一步 逐步 优缺点 策略 设计", _2="证明 推导 反例 矛盾"
)
CHINESE_MATHS: Final = ("方程", "积分", "概率", "定理", "矩阵", "无理数", "素数", "计算", "求解")
CHINESE_STEPS: Final = ("首先", "然后", "接着", "最后", "第一", "第二", "第三")
CHINESE_CODE: Final = _points(_2="代码 函数 编程 程序 算法 脚本", _1="写 实现 调试 数组 类")
