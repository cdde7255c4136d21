def show_table(*a, **k): print("TABLE", len(a[1]))
