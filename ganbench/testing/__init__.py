"""Conformance checks for plugins, to be called from their own tests.

    from ganbench.testing import check_loss

    def test_my_loss_keeps_the_contract():
        check_loss(MyLoss(), like="non-saturating")

``check_arch``, ``check_loss``, ``check_trick``, ``check_metric``, ``check_dataset``, ``check_protocol`` and
``check_extractor`` take an object, the name of an installed component, a module with the hook, or the hook;
``check_executor`` builds several, so it takes no object. They raise one ``ConformanceError`` that lists every breach:
what was seen, what was expected, how to fix it and why it matters.
``loss_findings`` and its siblings return the same as a list. Skip a check that does not apply by its name, as in
``skip=("both-halves-are-of-one-game",)``. Checks are deterministic, use no network, and restore every global random
generator and every process-wide setting.

``ganbench plugins --check`` runs them on installed plugins, each in its own process;
``ganbench plugins --list-checks`` prints every check with the reason for it.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
