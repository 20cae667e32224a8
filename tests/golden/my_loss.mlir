module @my_loss {
  func.func public @main(%y_pred: tensor<10xf64>, %y_true: tensor<10xf64>) -> (tensor<f64>, tensor<10xf64>, tensor<10xf64>) {
    %my_loss = stablehlo.subtract %y_pred, %y_true : tensor<10xf64>
    %my_loss_0 = stablehlo.multiply %my_loss, %my_loss : tensor<10xf64>
    %my_loss_1 = stablehlo.constant dense<0.000000e+00> : tensor<f64>
    %my_loss_2 = stablehlo.reduce(%my_loss_0 init: %my_loss_1) applies stablehlo.add across dimensions = [0] : (tensor<10xf64>, tensor<f64>) -> tensor<f64>
    %my_loss_3 = stablehlo.constant dense<2.000000e+00> : tensor<10xf64>
    %my_loss_4 = stablehlo.multiply %my_loss, %my_loss_3 : tensor<10xf64>
    %my_loss_5 = stablehlo.negate %my_loss_4 : tensor<10xf64>
    return %my_loss_2, %my_loss_4, %my_loss_5 : tensor<f64>, tensor<10xf64>, tensor<10xf64>
  }
}
