from tests.shortening import shortened


def test_numbers_of_epochs_become_small_and_all_else_stays() -> None:
    text = (
        "training: {epochs: 8, learning_rate: 1e-2}\nfit(epochs = 20, num_train_epochs=3)  # 7 epochs: few\nepochs: [4]"
    )
    assert shortened(text, 3) == text.replace("8", "3").replace("20", "3")
    assert shortened("epochs=0 epochs=1", 3) == "epochs=0 epochs=1"
